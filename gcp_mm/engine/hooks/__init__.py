"""Hooks for mmengine's Runner."""

from gcp_mm.engine.hooks.batch_size_check_hook import BatchSizeCheckHook
from gcp_mm.engine.hooks.checkpoint_coverage_hook import CheckpointCoverageHook

__all__ = ["BatchSizeCheckHook", "CheckpointCoverageHook"]
