"""The one place where a checkpoint enters a model: a backbone, or a whole classifier."""

from __future__ import annotations

import contextlib
from pathlib import Path

from mmengine.config import Config
from mmengine.model.weight_init import PretrainedInit
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

import gcp_mm.registry  # noqa: F401  (its models)
from gcp_mm.checkpoints.coverage import Coverage, compare, weights_of
from gcp_mm.checkpoints.form import check_finite, check_form
from gcp_mm.checkpoints.loader import load_from_file
from gcp_mm.console.command_names import command_line
from gcp_mm.errors import CheckpointMismatchError, CheckpointNotFoundError, UserError
from gcp_mm.files import abbreviate, why_absent
from gcp_mm.first_process import log

# What init_cfg calls mmengine's initialiser that loads a file.
PRETRAINED = ("Pretrained", "mmengine.Pretrained", PretrainedInit)
# What a classifier has behind its backbone; a backbone may leave these tensors unused.
CLASSIFIER_PARTS = ("fc.", "head.", "neck.", "classifier.")


def check_pretrained_exists(checkpoint: str | None, key: str = "model.backbone.init_cfg") -> None:
    """Check that a pretrained file is there, and say how to get one if not."""
    if not checkpoint:
        raise CheckpointNotFoundError(
            f"{key} names no file of pretrained weights: name one (--cfg-options "
            f"{key}.checkpoint=PATH), or start from random weights (--cfg-options {key}=None)"
        )
    path = Path(checkpoint)
    with contextlib.suppress(OSError, RuntimeError):
        path = path.expanduser()
        if "://" in checkpoint or path.is_file():
            return
    raise CheckpointNotFoundError(
        f"the file {checkpoint!r} of pretrained weights {why_absent(path.absolute())} "
        f"({key}.checkpoint, working folder: {Path.cwd()}). Train them "
        f"({command_line('train')} gcp_mm::imagenet/{path.stem}.py), or name a checkpoint that "
        f"you have (--cfg-options {key}.checkpoint=PATH), or start from random "
        f"weights (--cfg-options {key}=None)"
    )


def load_pretrained_backbone(
    backbone: nn.Module,
    checkpoint: str,
    prefix: str | None = None,
    map_location: str = "cpu",
    strict: bool = True,
    left_out: tuple[str, ...] = (),
) -> Coverage:
    """Load the backbone of a classification checkpoint and report ``loaded N of M tensors``.

    For ``prefix``, ``strict`` and ``left_out`` see :func:`cover`.
    """
    fitting, coverage = cover(backbone, checkpoint, prefix, strict, map_location, left_out=left_out)
    backbone.load_state_dict(fitting, strict=False)
    details = coverage.details()
    log(
        f"{type(backbone).__name__} from {checkpoint} (prefix {prefix!r}): {coverage}"
        f"{'; ' + details if details else ''}"
    )
    return coverage


def cover(
    network: nn.Module,
    checkpoint: str,
    prefix: str | None,
    strict: bool,
    map_location: str = "cpu",
    any_shape: tuple[str, ...] = (),
    switch: str = "init_cfg.strict=False",
    left_out: tuple[str, ...] = (),
) -> tuple[dict[str, Tensor], Coverage]:
    """Read a file and check that it belongs to a network, which stays as it is.

    ``prefix`` is what the network's names begin with in the file, with or without its last dot, as
    mmengine takes it; None for a bare backbone, whose file may have a classifier's last layers.
    Without ``strict`` it is enough that something fits; ``switch`` is the setting for that, for the
    message. ``any_shape`` is that of :func:`compare`. ``left_out`` is what names of the file begin
    with that the network has no use for.
    """
    check_pretrained_exists(checkpoint)
    state_dict = weights_of(CheckpointLoader.load_checkpoint(checkpoint, map_location))
    begin = f"{prefix.rstrip('.')}." if prefix else ""
    # A network that has a part of the name of a classifier's wants it.
    parts = tuple(f"{name}." for name, _ in network.named_children())
    selected = {
        name.removeprefix(begin): tensor
        for name, tensor in state_dict.items()
        if name.startswith(begin)
        and not (left_out and name.startswith(left_out))
        and (begin or name.startswith(parts) or not name.startswith(CLASSIFIER_PARTS))
    }
    coverage = compare(network.state_dict(), selected, any_shape)

    where = f"{type(network).__name__} from {checkpoint} (prefix {prefix!r})"
    if not coverage.loaded:
        heads = abbreviate(sorted({name.split(".")[0] for name in state_dict}), limit=8)
        raise CheckpointMismatchError(
            f"{where}: {coverage}. Names in the file begin with: {heads}. Set init_cfg.prefix to "
            "what the backbone's names begin with, or choose the checkpoint of this architecture"
        )
    if strict and coverage.differences:
        raise CheckpointMismatchError(
            f"{where}: {coverage}; {coverage.details()}. The checkpoint belongs to another "
            "architecture (depth, width or stem); choose the right one, or load what fits with "
            f"{switch}"
        )
    check_finite(network, selected, checkpoint)
    return {name: selected[name] for name in coverage.loaded}, coverage


def classifier_scope(cfg: Config) -> str:
    """Return the default scope of a config, which has to be that of classifiers."""
    scope = cfg.get("default_scope", "mmpretrain")
    if scope != "mmpretrain":
        raise UserError(
            f"default_scope is {scope!r}, and only classifiers can be used here; choose a "
            "classification config (configs/imagenet, configs/imagenette, configs/landscape)"
        )
    return scope


def load_model(
    cfg: Config,
    checkpoint: str | Path,
    prefix: str = "",
    mismatch: str = "does not belong to the model of this config",
    remedy: str = "Choose the config that it was trained with",
) -> nn.Module:
    """Build the classifier of a config with the weights of a checkpoint.

    The initialisation of the config does not run, so that pretrained files it names need not be
    there. Every tensor of the network has to be in the file, where names may lack a prefix that all
    of the network's have.
    """
    scope = classifier_scope(cfg)
    loaded = load_from_file(checkpoint, "cpu")
    check_form(loaded, checkpoint)
    with DefaultScope.overwrite_default_scope(scope):
        network = MODELS.build({"data_preprocessor": cfg.get("data_preprocessor"), **cfg.model})
    weights = {f"{prefix}{k.removeprefix(prefix)}": v for k, v in weights_of(loaded).items()}
    coverage = compare(network.state_dict(), weights)
    if coverage.differences:
        raise CheckpointMismatchError(
            f"checkpoint {str(checkpoint)!r} {mismatch}: {coverage}; {coverage.details()}. {remedy}"
        )
    check_finite(network, weights, checkpoint)
    network.load_state_dict(weights, strict=False)
    return network.eval()
