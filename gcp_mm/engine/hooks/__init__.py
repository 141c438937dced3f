"""Hooks for mmengine's Runner."""

from gcp_mm.engine.hooks.batch_size_check_hook import BatchSizeCheckHook
from gcp_mm.engine.hooks.channels_last_hook import ChannelsLastHook
from gcp_mm.engine.hooks.checkpoint_coverage_hook import CheckpointCoverageHook
from gcp_mm.engine.hooks.checkpoint_hook import CheckpointHook
from gcp_mm.engine.hooks.coco_check_hook import CocoCheckHook
from gcp_mm.engine.hooks.feature_map_check_hook import FeatureMapCheckHook
from gcp_mm.engine.hooks.finite_check_hook import FiniteCheckHook
from gcp_mm.engine.hooks.landscape_hook import LandscapeHook
from gcp_mm.engine.hooks.loader_workers_hook import LoaderWorkersHook
from gcp_mm.engine.hooks.log_interval_hook import LogIntervalHook
from gcp_mm.engine.hooks.num_classes_check_hook import NumClassesCheckHook
from gcp_mm.engine.hooks.pretrained_coverage_hook import PretrainedCoverageHook
from gcp_mm.engine.hooks.pretrained_required_hook import PretrainedRequiredHook
from gcp_mm.engine.hooks.resume_check_hook import ResumeCheckHook
from gcp_mm.engine.hooks.show_dir_hook import ShowDirHook
from gcp_mm.engine.hooks.work_folder_hook import WorkFolderHook

__all__ = [
    "BatchSizeCheckHook",
    "ChannelsLastHook",
    "CheckpointCoverageHook",
    "CheckpointHook",
    "CocoCheckHook",
    "FeatureMapCheckHook",
    "FiniteCheckHook",
    "LandscapeHook",
    "LoaderWorkersHook",
    "LogIntervalHook",
    "NumClassesCheckHook",
    "PretrainedCoverageHook",
    "PretrainedRequiredHook",
    "ResumeCheckHook",
    "ShowDirHook",
    "WorkFolderHook",
]
