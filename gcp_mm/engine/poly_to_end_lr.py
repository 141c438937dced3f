"""A learning-rate schedule that mmengine cannot express: polynomial decay over all iterations."""

from typing import Any

from mmengine.optim import PolyLR

from gcp_mm.registry import PARAM_SCHEDULERS

__all__ = ["PolyToEndLR"]


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
