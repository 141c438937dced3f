"""A learning rate out of a table: a published schedule in less, or more, time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.optim import _ParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin

from gcp_mm.errors import UserError
from gcp_mm.registry import PARAM_SCHEDULERS

__all__ = ["TabulatedLR"]


@PARAM_SCHEDULERS.register_module()
class TabulatedLR(LRSchedulerMixin, _ParamScheduler):
    r"""Factors of the learning rate, each for an equal part of the training.

    With a table of E factors f and T steps from ``begin`` to ``end``,

    .. math:: \eta_i = \eta f_{\lfloor i E / T \rfloor}, \quad i = 0..T-1.

    A schedule of E epochs becomes one of other length with the same curve if its factors are those
    of its epochs; parts of epochs need ``convert_to_iter_based=True``.

    Args:
        optimizer: As in mmengine; its learning rate is :math:`\eta`.
        table: The factors, at least one.
        begin: First step.
        end: The step after the last.
        **kwargs: Of mmengine's schedulers.

    Raises:
        UserError: If the table is empty.
    """

    def __init__(self, optimizer: Any, *args: Any, table: Sequence[float], **kwargs: Any) -> None:
        if not table:
            raise UserError("TabulatedLR: table is empty; give a factor for each part")
        self.table = list(table)
        super().__init__(optimizer, *args, **kwargs)

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: Any,
        begin: int = 0,
        end: int,
        by_epoch: bool = True,
        epoch_length: int,
        **kwargs: Any,
    ) -> TabulatedLR:
        """Build the schedule in iterations from one in epochs."""
        if not by_epoch or epoch_length < 1:
            raise UserError("TabulatedLR: convert_to_iter_based needs by_epoch=True and images")
        return cls(
            *args, begin=begin * epoch_length, end=end * epoch_length, by_epoch=False, **kwargs
        )

    def _get_value(self) -> list[float]:
        # mmengine steps `last_step` within begin <= step < end, counted from the first step.
        part = self.last_step * len(self.table) // (self.end - self.begin)
        return [base * self.table[part] for base in self.base_values]
