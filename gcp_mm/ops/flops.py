"""Operations of custom operators, for ``torch.utils.flop_counter``.

A counter sees a custom operator as one call and counts nothing for it. The formula here runs the
operator's kernel on tensors without memory and counts the matrix products inside, each as a whole
one, also where a device computes only half of it. mmengine and fvcore need nothing: they trace the
network, and a traced layer consists of plain products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def flop_formula(kernel: Callable[..., Any]) -> Callable[..., int]:
    """Make the formula of a batched operator from its kernel.

    Register it once, beside the operator::

        register_flop_formula(torch.ops.gcp_mm.gram_pool)(flop_formula(kernel))

    Args:
        kernel: A function of the operator's arguments in plain PyTorch, whose tensors all begin
            with the batch dimension, and whose samples do not depend on each other.

    Returns:
        A function of the operator's arguments, with shapes in place of tensors. It gives the
        floating-point operations of the matrix products, two for each multiply-add as in
        ``FlopCounterMode``. Products of which a device kernel computes one half only, because
        they are symmetric, count as whole ones.
    """

    def formula(*args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        # It takes a quarter of a second to import, and whoever calls this has imported it.
        from torch.utils.flop_counter import FlopCounterMode

        def sample(value: Any) -> Any:
            if isinstance(value, torch.Size):
                return torch.empty((1, *value[1:]), device="meta")
            return value

        batch = next(value[0] for value in args if isinstance(value, torch.Size))
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            kernel(*map(sample, args), **{name: sample(value) for name, value in kwargs.items()})
        return batch * counter.get_total_flops()

    return formula
