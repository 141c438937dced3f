"""Hooks that every run of this project's tools has, whatever its config says of hooks."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.hooks import CheckpointHook

# `custom_hooks` of a config replace those of its base, and those of mmdet and mmpretrain have none.
_EVERY_RUN = (
    dict(type="gcp_mm.FiniteCheckHook"),
    dict(type="gcp_mm.FeatureMapCheckHook"),
    dict(type="gcp_mm.LogIntervalHook"),
    dict(type="gcp_mm.LoaderWorkersHook"),
)
_TRAINING = (
    # Networks that are not this project's are often initialised in part on purpose.
    dict(type="gcp_mm.PretrainedCoverageHook", strict=False),
    dict(type="gcp_mm.ResumeCheckHook"),
)


def add_hooks(cfg: Config, training: bool) -> None:
    """Add the checks to a config, and have its checkpoints written by this project's hook.

    What the config has already stays as it is, and so does a checkpoint hook of another kind.
    """
    hooks = list(cfg.get("custom_hooks") or [])
    present = {name_of(hook) for hook in hooks}
    wanted = (*_EVERY_RUN, *(_TRAINING if training else ()))
    cfg.custom_hooks = hooks + [dict(hook) for hook in wanted if name_of(hook) not in present]
    # Without an entry mmengine's runner takes its own; None leaves it out.
    if cfg.get("default_hooks") is None:
        cfg.default_hooks = {}
    cfg.default_hooks.setdefault("checkpoint", dict(type="CheckpointHook"))
    checkpoint = cfg.default_hooks.checkpoint
    if isinstance(checkpoint, dict) and _is_mmengines(checkpoint.get("type")):
        checkpoint.type = "gcp_mm.CheckpointHook"
        if checkpoint.get("out_dir") is None and checkpoint.get("file_client_args") is None:
            checkpoint.setdefault("backend_args", dict(backend="gcp_mm_atomic"))


def _is_mmengines(kind: object) -> bool:
    """Say whether a type is mmengine's checkpoint hook, by its name, its path or itself."""
    if isinstance(kind, str):
        package, _, name = kind.rpartition(".")
        return name == "CheckpointHook" and package.partition(".")[0] in ("", "mmengine")
    return kind is CheckpointHook


def name_of(hook: object) -> str:
    """Return the name of a hook's class; a config may hold a hook that is built already."""
    kind = hook["type"] if isinstance(hook, dict) else type(hook)
    return kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__
