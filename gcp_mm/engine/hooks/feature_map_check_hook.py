"""Warn of images so small that the covariance of their features is zero."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gcp_mm.registry import HOOKS


@HOOKS.register_module()
class FeatureMapCheckHook(Hook):
    """Look at the map that ``gcp_mm.GlobalCovariancePooling`` gets for the first batch.

    One position has no covariance: the output is zero for every image, and the loss stays at the
    logarithm of the number of classes.
    """

    def __init__(self) -> None:
        self._handle: RemovableHandle | None = None
        self._map: tuple[int, ...] | None = None
        self._looked = False

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Watch the neck in the first iteration."""
        self._watch(runner)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Warn after the first iteration, if the map had one position."""
        self._report(data_batch)

    def before_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Watch the neck in the first batch."""
        self._watch(runner)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Any = None,
    ) -> None:
        """Warn after the first batch, if the map had one position."""
        self._report(data_batch)

    def _watch(self, runner: Runner) -> None:
        # A compiled graph would be made again for a hook that is there once.
        if self._looked or runner.cfg.get("compile"):
            return
        self._looked = True
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        neck = next(filter(_is_pooling, model.modules()), None)
        if neck is not None:
            self._handle = neck.register_forward_pre_hook(self._keep)

    def _keep(self, neck: nn.Module, inputs: tuple) -> None:
        features = inputs[0] if isinstance(inputs[0], Tensor) else inputs[0][-1]
        if features.dim() == 4:
            self._map = tuple(features.shape[2:])
        elif features.dim() == 3:
            self._map = (features.shape[1] - neck.num_extra_tokens,)

    def _report(self, data_batch: dict | None) -> None:
        if self._handle is None:
            return
        self._handle.remove()
        self._handle = None
        if self._map is None or set(self._map) != {1}:
            return
        images = (data_batch or {}).get("inputs")
        size = " x ".join(map(str, images[0].shape[-2:])) if images is not None else "these"
        print_log(
            f"images of {size} pixels leave a feature map of {' x '.join(map(str, self._map))}: "
            "the covariance of one position is zero, every image looks the same to the head, and "
            "the loss stays at the logarithm of the number of classes. Enlarge the images in the "
            "pipelines (twice the size gives 2 x 2 positions, 224 pixels 7 x 7), or take a "
            "backbone of smaller stride",
            logger="current",
            level=logging.WARNING,
        )


def _is_pooling(module: nn.Module) -> bool:
    # By name: a run of a detector need not import the classifiers.
    return any(kind.__name__ == "GlobalCovariancePooling" for kind in type(module).__mro__)
