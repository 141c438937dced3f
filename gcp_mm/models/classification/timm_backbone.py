"""Any network of timm as a trunk."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from mmpretrain.models import TIMMBackbone as UpstreamTIMMBackbone
from torch import Tensor

from gcp_mm.checkpoints.pretrained import load_pretrained_backbone
from gcp_mm.errors import UserError, first_line
from gcp_mm.first_process import log
from gcp_mm.models.pretrained_backbone import PretrainedBackbone
from gcp_mm.registry import MODELS

# What timm says of a name with the weights of nothing, such as resnet18.nonsense.
_TAG = "pretrained tag"


@MODELS.register_module()
class TIMMBackbone(PretrainedBackbone, UpstreamTIMMBackbone):
    """mmpretrain's wrapper of timm's networks, which gives a map and reports what it loaded.

    The last features before the pooling come as a map: channels first, and tokens without those
    that belong to no position (class token, distillation token), one below the other. Average and
    covariance pooling take it as it is. A network that mixes such tokens in without saying how many
    (PiT, VOLO), or gives nothing before its pooling (CoaT, CrossViT), is refused;
    ``features_only=True`` takes the maps of its stages. Tensors are named ``timm_model.*``, with
    timm's names behind, as in ``mmpretrain.TIMMBackbone``.

    Weights come from ``load_from`` (a checkpoint of mmpretrain, such as the converter writes), from
    ``init_cfg=dict(type='Pretrained', checkpoint=FILE)``, where FILE is one of timm, its classifier
    left out, or with ``prefix='backbone.'`` one of mmpretrain; or from timm's own
    ``pretrained=True``, which fetches them from its hub.

    Args:
        model_name: Name of the network in timm, for example ``'tf_efficientnet_lite0'``.
        pretrained: Whether timm fetches its weights. Defaults to False.
        checkpoint_path: Not taken: timm would read the file itself. Name it in ``init_cfg``.
        **kwargs: Further arguments of ``mmpretrain.TIMMBackbone``, such as ``features_only``, and
            of the network, such as ``drop_path_rate``.

    Raises:
        UserError: If timm is not installed, does not know the name, cannot build the network with
            these arguments or cannot fetch its weights, or if it gives no map of features.

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
        try:
            super().__init__(model_name, pretrained=pretrained, **kwargs)
        except (AssertionError, AttributeError, KeyError, TypeError) as error:
            raise _why_not_built(model_name, kwargs, error) from error
        except RuntimeError as error:
            if pretrained or _TAG in str(error):
                raise _why_not_fetched(model_name, error) from error
            raise _why_not_built(model_name, kwargs, error) from error
        except Exception as error:  # those of the hub and of the network have no common base
            if not pretrained or isinstance(error, UserError):
                raise
            raise _why_not_fetched(model_name, error) from error
        self._check_tokens(model_name)
        # What torch.compile need not trace: a text or, of a feature extractor, an enumeration.
        layout = getattr(self.timm_model, "output_fmt", "NCHW")
        self._channels_last = getattr(layout, "value", layout) == "NHWC"
        self._prefix_tokens = getattr(self.timm_model, "num_prefix_tokens", 0)
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

    def _check_tokens(self, model_name: str) -> None:
        """Refuse a network whose class token would be pooled as if it had a place in the image."""
        network = self.timm_model
        if getattr(network, "cls_token", None) is None or hasattr(network, "num_prefix_tokens"):
            return
        raise UserError(
            f"backbone TIMMBackbone: {model_name!r} has a class token, and timm does not say where "
            "in its features (no num_prefix_tokens), so that they make no map; set "
            "model.backbone.features_only=True for the maps of its stages, or take another network"
        )

    def _as_map(self, features: Tensor) -> Tensor:
        """Bring channels to the front and leave out tokens without a position."""
        if features.dim() == 4:
            return features.permute(0, 3, 1, 2) if self._channels_last else features
        tokens = features.shape[1] - self._prefix_tokens if features.dim() == 3 else 0
        if tokens < 2:
            name, shape = type(self.timm_model).__name__, tuple(features.shape)
            raise UserError(
                f"backbone TIMMBackbone: the features of {name} for these images, {shape}, are no "
                "map of several positions; set "
                "model.backbone.features_only=True, enlarge the images or take another network"
            )
        return features[:, self._prefix_tokens :].transpose(1, 2).unsqueeze(-1)


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


def _why_not_built(model_name: str, kwargs: Mapping[str, Any], error: Exception) -> UserError:
    """Put what timm raised into one line, with a way out where there is one."""
    given = ", ".join(f"{key}={value!r}" for key, value in kwargs.items() if key != "init_cfg")
    if "frozen_stages" in kwargs:
        cure = (
            "; it has no frozen_stages: optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0 "
            "leaves its weights as they are"
        )
    elif isinstance(error, AssertionError) and not kwargs.get("features_only"):
        cure = "; model.backbone.features_only=True takes the maps of its stages"
    else:
        cure = ""
    return UserError(
        f"backbone TIMMBackbone: timm cannot give {model_name!r} without its pooling"
        f"{f' and with {given}' if given else ''}: {type(error).__name__}: {error}{cure}"
    )


def _why_not_fetched(model_name: str, error: Exception) -> UserError:
    if _TAG in str(error):
        return UserError(
            f"backbone TIMMBackbone: {first_line(error)}; timm.list_pretrained() names those that "
            "there are"
        )
    return UserError(
        f"backbone TIMMBackbone: timm cannot give {model_name!r} its weights (pretrained=True): "
        f"{type(error).__name__}: {first_line(error)}; of a file on this machine, set "
        "model.backbone.pretrained=False model.backbone.init_cfg.type=Pretrained "
        "model.backbone.init_cfg.checkpoint=FILE"
    )
