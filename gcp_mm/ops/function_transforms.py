"""Whether torch.func is differentiating.

A ``torch.library.custom_op`` has no rule for grad, vjp and jvp of torch.func: its formula becomes
an ``autograd.Function`` without ``setup_context`` (torch/_library/autograd.py in PyTorch 2.13).
And there is no public way to ask whether one of them is active.
"""

from __future__ import annotations

import torch


def differentiating() -> bool:
    """Return whether a transform of torch.func other than vmap is active."""
    stack = torch._C._functorch.get_interpreter_stack() or []
    return any(level.key() != torch._C._functorch.TransformType.Vmap for level in stack)
