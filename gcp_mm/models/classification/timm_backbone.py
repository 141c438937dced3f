"""Any network of timm as a trunk."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from mmpretrain.models import TIMMBackbone as UpstreamTIMMBackbone
from torch import Tensor

from gcp_mm.checkpoints.pretrained import load_pretrained_backbone
from gcp_mm.errors import UserError
from gcp_mm.first_process import log
from gcp_mm.models.pretrained_backbone import PretrainedBackbone
from gcp_mm.registry import MODELS


@MODELS.register_module()
class TIMMBackbone(PretrainedBackbone, UpstreamTIMMBackbone):
    """mmpretrain's wrapper of timm's networks, which gives a map and reports what it loaded.

    Whatever the network is made of, the last features before its pooling come as a map: channels
    first, and tokens without those that belong to no position (class token, distillation token),
    one below the other. Average and covariance pooling take it as it is. Tensors are named
    ``timm_model.*``, with timm's names behind, as in ``mmpretrain.TIMMBackbone``.

    Weights come from ``load_from`` (a checkpoint of mmpretrain, such as the converter writes), from
    ``init_cfg=dict(type='Pretrained', checkpoint=FILE)``, where FILE is one of timm, its classifier
    left out, or with ``prefix='backbone.'`` one of mmpretrain; or from timm's own
    ``pretrained=True``, which fetches them from its hub.

    Args:
        model_name: Name of the network in timm, for example ``'tf_efficientnet_lite0'``.
        pretrained: Whether timm fetches its weights. Defaults to False.
        checkpoint_path: Not taken: timm would read the file itself. Name it in ``init_cfg``.
        **kwargs: Further arguments of ``mmpretrain.TIMMBackbone``, such as ``drop_path_rate``.

    Raises:
        UserError: If timm is not installed, or does not know the name.

    ``forward`` maps images (B, 3, H, W) to a tuple of maps, the last of which is (B, C, H', W'), or
    (B, C, L, 1) for a network of L tokens. C is ``head_hidden_size`` of timm's network.
    """

    def __init__(
        self, model_name: str, pretrained: bool = False, checkpoint_path: str = "", **kwargs: Any
    ) -> None:
        _check_name(model_name)
        if checkpoint_path:
            raise UserError(
                f"backbone TIMMBackbone: checkpoint_path={checkpoint_path!r} would be read by timm "
                "without a report; set model.backbone.init_cfg=dict(type='Pretrained', "
                f"checkpoint={checkpoint_path!r})"
            )
        super().__init__(model_name, pretrained=pretrained, **kwargs)
        if pretrained:
            log(f"TIMMBackbone: weights of {model_name} fetched by timm")

    def _load_pretrained(self, checkpoint: str, prefix: str | None = None, **kwargs: Any) -> None:
        if prefix:
            super()._load_pretrained(checkpoint, prefix=prefix, **kwargs)
            return
        # One name, or several where a network has an auxiliary classifier.
        config: Mapping[str, Any] = getattr(self.timm_model, "pretrained_cfg", None) or {}
        names = config.get("classifier") or ()
        classifiers = (names,) if isinstance(names, str) else tuple(names)
        left_out = tuple(f"{name}." for name in classifiers)
        load_pretrained_backbone(self.timm_model, checkpoint, left_out=left_out, **kwargs)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the features, see the class."""
        return tuple(map(self._as_map, super().forward(x)))

    def _as_map(self, features: Tensor) -> Tensor:
        """Bring channels to the front and leave out tokens without a position."""
        if features.dim() == 3:
            positions = features[:, getattr(self.timm_model, "num_prefix_tokens", 0) :]
            return positions.transpose(1, 2).unsqueeze(-1)
        if features.dim() == 4 and str(getattr(self.timm_model, "output_fmt", "NCHW")) == "NHWC":
            return features.permute(0, 3, 1, 2)
        return features


def _check_name(model_name: str) -> None:
    """Refuse what timm cannot build, before it says so in its own words."""
    if find_spec("timm") is None:
        raise UserError(
            f"backbone TIMMBackbone: {model_name!r} is a network of timm, which is not installed: "
            "pip install timm (the extra gcp_mm[timm])"
        )
    # It takes seconds to import.
    import timm

    if ":" in model_name or timm.is_model(model_name):
        return
    near = get_close_matches(model_name, timm.list_models(), n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise UserError(
        f"backbone TIMMBackbone: timm {timm.__version__} knows no network {model_name!r}; {hint}"
        f"python -c 'import timm; print(timm.list_models(\"*{model_name[:4]}*\"))' lists some"
    )
