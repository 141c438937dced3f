"""Mixed precision on the CPU, where mmengine's AmpOptimWrapper refuses to work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Compute the forward pass under ``torch.autocast('cpu', torch.bfloat16)``.

    bfloat16 has the range of float32, so that gradients need no loss scale.

    Args:
        dtype: 'bfloat16'. The CPU's autocast has float16 too, but its gradients would underflow
            without a scale.
        **kwargs: Arguments of mmengine's OptimWrapper.

    Raises:
        UserError: If ``dtype`` is another one.
    """

    def __init__(self, dtype: str | torch.dtype = "bfloat16", **kwargs: object) -> None:
        if dtype not in ("bfloat16", torch.bfloat16):
            raise UserError(
                f"optim_wrapper.type=gcp_mm.CPUAmpOptimWrapper has no dtype={dtype}: on the CPU, "
                "mixed precision is bfloat16"
            )
        super().__init__(**kwargs)

    def load_state_dict(self, state_dict: dict) -> None:
        """Load a state; the loss scale of a run on a GPU is left out.

        Args:
            state_dict: State of this wrapper, or of an ``AmpOptimWrapper``.
        """
        state_dict.pop("loss_scaler", None)
        super().load_state_dict(state_dict)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Accumulate gradients as mmengine does, and compute in bfloat16.

        Args:
            model: The model, or its wrapper.
        """
        with super().optim_context(model), torch.autocast("cpu", torch.bfloat16):
            yield
