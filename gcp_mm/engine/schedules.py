"""Learning rates that mmengine's schedules cannot express.

Polynomial decay over all iterations, and factors out of a table, with which a published schedule
takes less, or more, time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.optim import PolyLR, _ParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin

from gcp_mm.errors import UserError
from gcp_mm.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class PolyToEndLR(PolyLR):
    r"""``PolyLR`` that reaches its minimum one step after the last, when set in epochs.

    With ``begin=0, end=E, convert_to_iter_based=True`` and T iterations in E epochs,

    .. math:: \eta_i = \eta_\min + (\eta_0 - \eta_\min) (1 - i / T)^{power}, \quad i = 0..T-1.

    mmengine's ``PolyLR`` divides by T - 1 then, so that the last iteration has the learning rate 0
    and trains nothing. Its ``end`` would have to be T + 1, which a config does not know, as T
    depends on the data and on the number of processes. ShuffleNetV2's published schedule is
    ``power=1``. Arguments are those of ``PolyLR``.
    """

    @classmethod
    def build_iter_from_epoch(
        cls, *args: Any, end: float, epoch_length: int, **kwargs: Any
    ) -> PolyLR:
        """Build the schedule in iterations from one in epochs."""
        # One step later than the last; a half more, because the parent cuts off the fraction.
        end += 1.5 / epoch_length
        return super().build_iter_from_epoch(*args, end=end, epoch_length=epoch_length, **kwargs)


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
