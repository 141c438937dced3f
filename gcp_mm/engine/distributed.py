"""Process groups for several GPUs, or for several CPU processes where there is no GPU."""

from __future__ import annotations

import os

import torch
from mmengine.config import Config

from gcp_mm.engine.gpu_driver import count_gpus
from gcp_mm.engine.parent_death import die_with_parent, end_children_too
from gcp_mm.engine.rendezvous import export_slurm
from gcp_mm.errors import UserError


def prepare_distributed(cfg: Config) -> None:
    """Check the launched processes against the devices, and set up gloo where there is no GPU.

    mmengine's launchers 'pytorch' and 'slurm' select a CUDA device unconditionally, but skip their
    set-up when a process group exists already. So without a GPU the group is made here, and the
    model wrapper is told to use no device.
    """
    end_children_too()
    if cfg.launcher not in ("pytorch", "slurm"):
        return
    die_with_parent()
    _check_average(cfg)
    if cfg.launcher == "slurm":
        processes = export_slurm()
    else:
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    gpus = count_gpus()
    if gpus and processes > gpus:
        fewer = (
            f"set GPUS_PER_NODE={gpus} for tools/slurm_*.sh, without options of srun that show "
            "each process one GPU"
            if cfg.launcher == "slurm"
            else f"give {gpus} to tools/dist_*.sh"
        )
        raise UserError(
            f"{processes} processes were started on a machine with {gpus} GPU(s); start at most "
            f"{gpus}: {fewer} (in training --auto-scale-lr adapts the "
            "learning rate), or hide the GPUs with CUDA_VISIBLE_DEVICES= to run on CPU"
        )
    if gpus:
        return
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    _wrap_without_device(cfg)


def _check_average(cfg: Config) -> None:
    """Refuse what would end in a KeyError at the first checkpoint.

    With its DDPStrategy mmengine's FlexibleRunner saves the names of the wrapped model, which
    begin with ``module.``, and EMAHook looks for those without.
    """
    if cfg.get("runner_type") != "FlexibleRunner":
        return
    if any("EMAHook" in str(hook["type"]) for hook in cfg.get("custom_hooks") or []):
        raise UserError(
            "custom_hooks has EMAHook, which does not go with runner_type=FlexibleRunner in "
            "several processes: remove runner_type, or the hook"
        )


def _wrap_without_device(cfg: Config) -> None:
    """Set the wrapper of the model, where the runner of the config looks for it."""
    wrapper = dict(type="MMDistributedDataParallel", device_ids=None, broadcast_buffers=False)
    if cfg.get("runner_type") != "FlexibleRunner":
        cfg.model_wrapper_cfg = {**wrapper, **(cfg.get("model_wrapper_cfg") or {})}
        return
    strategy = cfg.get("strategy") or dict(type="DDPStrategy")
    if strategy["type"] == "DDPStrategy":
        strategy["model_wrapper"] = {**wrapper, **(strategy.get("model_wrapper") or {})}
    cfg.strategy = strategy
