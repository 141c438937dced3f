"""Hooks for mmengine's Runner."""

from gcp_mm.engine.hooks.checkpoint_hook import CheckpointHook
from gcp_mm.engine.hooks.coco_check_hook import CocoCheckHook
from gcp_mm.engine.hooks.finite_check_hook import FiniteCheckHook
from gcp_mm.engine.hooks.model_checks import (
    BatchSizeCheckHook,
    FeatureMapCheckHook,
    NumClassesCheckHook,
    PixelCheckHook,
)
from gcp_mm.engine.hooks.show_dir_hook import ShowDirHook
from gcp_mm.engine.hooks.speed import ChannelsLastHook, LogIntervalHook
from gcp_mm.engine.hooks.start_hooks import (
    CheckpointCoverageHook,
    PretrainedCoverageHook,
    PretrainedRequiredHook,
    ResumeCheckHook,
)
from gcp_mm.engine.hooks.work_folder_hook import WorkFolderHook
from gcp_mm.engine.loader_workers import LoaderWorkersHook

__all__ = [
    "BatchSizeCheckHook",
    "ChannelsLastHook",
    "CheckpointCoverageHook",
    "CheckpointHook",
    "CocoCheckHook",
    "FeatureMapCheckHook",
    "FiniteCheckHook",
    "LoaderWorkersHook",
    "LogIntervalHook",
    "NumClassesCheckHook",
    "PixelCheckHook",
    "PretrainedCoverageHook",
    "PretrainedRequiredHook",
    "ResumeCheckHook",
    "ShowDirHook",
    "WorkFolderHook",
]
