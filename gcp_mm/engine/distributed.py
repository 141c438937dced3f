"""Process groups for several GPUs, or for several CPU processes where there is no GPU."""

from __future__ import annotations

import os

import torch
from mmengine.config import Config

from gcp_mm.engine.parent_death import die_with_parent
from gcp_mm.errors import UserError


def prepare_distributed(cfg: Config) -> None:
    """Check the launched processes against the devices, and set up gloo where there is no GPU.

    mmengine's ``launcher='pytorch'`` selects a CUDA device unconditionally, but skips its set-up
    when a process group exists already. So without a GPU the group is made here, and the model
    wrapper is told to use no device.

    Args:
        cfg: The config; ``model_wrapper_cfg`` is set for CPU processes.

    Raises:
        UserError: If a node runs more processes than it has GPUs.
    """
    if cfg.launcher != "pytorch":
        return
    die_with_parent()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    gpus = torch.cuda.device_count()
    if gpus and processes > gpus:
        raise UserError(
            f"{processes} processes were started on a machine with {gpus} GPU(s); start at most "
            f"{gpus}: bash tools/dist_train.sh CONFIG {gpus} (add --auto-scale-lr to adapt the "
            "learning rate), or hide the GPUs with CUDA_VISIBLE_DEVICES= to run on CPU"
        )
    if gpus:
        return
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    wrapper = dict(type="MMDistributedDataParallel", device_ids=None, broadcast_buffers=False)
    cfg.model_wrapper_cfg = {**wrapper, **(cfg.get("model_wrapper_cfg") or {})}
