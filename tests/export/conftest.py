"""Small classifiers whose activations are of ordinary size."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from random_weights import randomise
from tiny_runs import forget_runs
from torch import nn

from gcp_mm import registry
from gcp_mm.export.numeric_check import Logits
from gcp_mm.models.classification import MobileNetV2, ShuffleNetV2

SIZE = 32
NETWORKS = {
    "resnet50": (
        "imagenet/resnet50_gcp_lrnorm",
        dict(
            **dict(base_channels=8, stem_channels=8, num_stages=2, out_indices=(1,)),
            **dict(strides=(2, 1), dilations=(1, 1)),
        ),
    ),
    "mobilenetv2": (
        "imagenet/mobilenetv2_gcp_lrnorm",
        dict(type="gcp_mm.ShortMobileNetV2", widen_factor=0.25, out_indices=(2,)),
    ),
    "shufflenetv2": (
        "imagenet/shufflenetv2_gcp_lrnorm",
        dict(type="gcp_mm.ShortShuffleNetV2", widen_factor=0.5, out_indices=(0,)),
    ),
    "convnext": (
        "finetune/convnext_tiny_gcp_folder",
        dict(arch=dict(depths=[1, 1], channels=[8, 16]), out_indices=[1]),
    ),
    "swin": (
        "finetune/swin_tiny_gcp_folder",
        dict(
            arch=dict(embed_dims=8, depths=[2, 1], num_heads=[1, 2]),
            **dict(img_size=SIZE, window_size=2, patch_size=4, out_indices=[1]),
        ),
    ),
    "vit": (
        "finetune/vit_base_gcp_folder",
        dict(
            arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32),
            **dict(img_size=SIZE, patch_size=8),
        ),
    ),
}


@registry.MODELS.register_module()
class ShortMobileNetV2(MobileNetV2):
    """Both expansions, both strides, and a residual."""

    arch_settings = [[1, 16, 2, 1], [6, 16, 1, 1]]


@registry.MODELS.register_module()
class ShortShuffleNetV2(ShuffleNetV2):
    """A stage with a block of each stride."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        del self.layers[1:], self.layers[0][2:]


def shorten(backbone):
    """Leave the first block of each stage, which changes the size, and of one stage the second."""
    # A stage is a child, or in a list of the child's.
    children = (*backbone.children(), *getattr(backbone, "layers", ()))
    for index, stage in enumerate(part for part in children if isinstance(part, nn.Sequential)):
        del stage[2 if index == 1 else 1 :]


@pytest.fixture(scope="session")
def small_network(repo):
    """Build the classifier of a config, narrower, with random weights."""

    def build(name):
        path, backbone = NETWORKS[name]
        cfg = Config.fromfile(repo / f"configs/{path}.py")
        init_default_scope("mmpretrain")
        images = torch.randn(8, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
        for key, value in backbone.items():
            cfg.model.backbone[key] = value
        width = MODELS.build(cfg.model.backbone)(images)[-1].shape[1]
        # Every step after the first one is the same.
        cfg.model.neck.update(in_channels=width, reduced_channels=12, num_iters=2)
        cfg.model.head.update(in_channels=78, num_classes=5)
        network = MODELS.build({"data_preprocessor": cfg.data_preprocessor, **cfg.model})
        shorten(network.backbone)
        randomise(network)
        # Statistics of these images: with random ones, float32 loses digits from layer to layer.
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = 1.0
        with torch.no_grad():
            for key, weight in network.named_parameters():
                # Small residuals, as after training: many random layers amplify rounding.
                if key.endswith("bn3.weight"):
                    weight *= 0.1
            network.train()(images)
        return network

    yield build
    forget_runs()


@pytest.fixture
def images():
    def draw(batch, size=SIZE):
        return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(batch))

    return draw


@pytest.fixture
def exported(small_network, tmp_path):
    """Write a small network in a format and read it back."""

    def export(form, name, example, dynamic_batch=True, **options):
        network = Logits(small_network(name), **options)
        path = tmp_path / f"file{form.suffixes[0]}"
        form.write(network, example, path, dynamic_batch, {"input": "images"})
        return network, path, form.read(path)

    return export
