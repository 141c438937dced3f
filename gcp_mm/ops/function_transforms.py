"""Whether PyTorch is differentiating in a way that the operator cannot take part in.

A ``torch.library.custom_op`` has no rule for grad, vjp and jvp of torch.func (its formula becomes
an ``autograd.Function`` without ``setup_context``, torch/_library/autograd.py in PyTorch 2.13), and
it drops the tangents of forward-mode differentiation without a word. There is no public way to ask
whether one of them is active.
"""

from __future__ import annotations

import torch
from torch.autograd import forward_ad


def differentiating() -> bool:
    """Return whether forward mode or a transform of torch.func other than vmap is active."""
    stack = torch._C._functorch.get_interpreter_stack() or []
    vmap = torch._C._functorch.TransformType.Vmap
    return forward_ad._current_level >= 0 or any(level.key() != vmap for level in stack)


# What torch.compiler.assume_constant_result sets; calling it would import the whole compiler here.
differentiating._dynamo_marked_constant = True
