"""The layer on the smaller Gram matrix as a PyTorch operator, ``gcp_mm::gram_pool``.

Autograd keeps nothing but the input: the backward operator computes what it needs again, which the
self-adjoint derivative makes cheap (see :mod:`gcp_mm.ops.gram.passes`). On the CPU the C kernels
take sample by sample; without them samples are taken in groups that fit into the cache.

``torch.utils.flop_counter`` sees a custom operator as one call and would count nothing for it. The
formulas here run a pass for one sample on tensors without memory and count the matrix products
inside, each as a whole one, also where a device computes only half of it. mmengine and fvcore need
nothing: they trace the network, and a traced layer consists of plain products.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from gcp_mm.ops.cpu_kernels import cpu_backward, cpu_forward, cpu_kernel_status
from gcp_mm.ops.gram.arithmetic import Carrier
from gcp_mm.ops.gram.fused import fused_backward, fused_forward, fused_status
from gcp_mm.ops.gram.passes import gram_backward, gram_forward
from gcp_mm.ops.plain import gram_autograd_global_covariance_pool
from gcp_mm.ops.precision import autocast_disabled, compute_dtype, pool_conditioned
from gcp_mm.ops.triton_kernels.fallback import fused_failures, with_fallback
from gcp_mm.ops.triu_vec import triangle_size

CACHE_BYTES = 24 * 2**20
"""Matrices of one group of samples on the CPU: most of a last-level cache."""

DEVICE_BYTES = 512 * 2**20
"""The same on other devices, where a group should fill the device and still bound the memory."""


def samples_at_once(x: Tensor) -> int:
    """Return how many samples of features (B, C, N) form a group; at least 1.

    The groups are of about equal size, and on the CPU a multiple of the threads if that many fit:
    the threads share the samples of a product among them.
    """
    channels, positions = x.shape[-2:]
    smaller = min(channels, positions)
    elements = 8 * smaller**2 + channels**2 + 3 * channels * positions
    on_cpu = x.device.type == "cpu"
    budget = CACHE_BYTES if on_cpu else DEVICE_BYTES
    most = max(1, min(len(x), budget // (elements * compute_dtype(x).itemsize)))
    threads = torch.get_num_threads()
    multiple = threads if on_cpu and threads <= most else 1
    groups = -(-len(x) // (most // multiple * multiple)) or 1
    even = -(-len(x) // groups)
    return max(1, -(-even // multiple) * multiple)


def _groups(x: Tensor) -> Iterator[slice]:
    step = samples_at_once(x)
    return (slice(start, start + step) for start in range(0, len(x), step))


def runs_in_c(x: Tensor, carrier: Carrier) -> bool:
    """Say whether the C kernels compute the layer; Triton's interpreter comes before them."""
    return not carrier.fused and cpu_kernel_status(x) is None


_or_by_products = partial(
    with_fallback, failures=fused_failures, instead="'gram' runs instead of 'gram_fused'"
)


@torch.library.custom_op("gcp_mm::gram_pool", mutates_args=())
def gram_pool(x: Tensor, num_iters: int, fused: bool = False) -> Tensor:
    """Compute the layer without autocast, in float32 at least.

    Args:
        x: Features of shape (B, C, N), any floating-point dtype and layout in memory.
        num_iters: Number of Newton-Schulz steps.
        fused: Whether one program computes all products of a sample, where
            :mod:`gcp_mm.ops.gram.fused` can.

    Returns:
        Vectors of shape (B, C * (C + 1) / 2) in the dtype of ``x``.
    """
    if fused and fused_status(x, num_iters) is None:
        return _or_by_products(fused_forward, forward_by_products, x, num_iters)
    return forward_by_products(x, num_iters)


def forward_by_products(x: Tensor, num_iters: int) -> Tensor:
    """Compute one product after the other, of a group of samples each."""
    carrier, dtype = Carrier.of(x, num_iters), compute_dtype(x)
    if runs_in_c(x, carrier):
        return cpu_forward(x, num_iters)
    vector = x.new_empty(len(x), triangle_size(x.shape[1]))
    with autocast_disabled(x.device):
        for group in _groups(x):
            gram_forward(x[group].to(dtype), num_iters, carrier, out=vector[group])
    return vector


@torch.library.custom_op("gcp_mm::gram_pool_backward", mutates_args=())
def gram_pool_backward(grad: Tensor, x: Tensor, num_iters: int, fused: bool = False) -> Tensor:
    """Compute the gradient of :func:`gram_pool` from its input.

    Args:
        grad: Gradient of the vectors.
        x: The input.
        num_iters: Number of Newton-Schulz steps.
        fused: As for :func:`gram_pool`.

    Returns:
        Gradient of the features, of shape (B, C, N), in the dtype of ``x``.
    """
    if fused and fused_status(x, num_iters) is None:
        return _or_by_products(fused_backward, backward_by_products, x, grad, num_iters)
    return backward_by_products(x, grad, num_iters)


def backward_by_products(x: Tensor, grad: Tensor, num_iters: int) -> Tensor:
    """Compute one product after the other, of a group of samples each."""
    carrier, dtype = Carrier.of(x, num_iters), compute_dtype(x)
    if runs_in_c(x, carrier):
        return cpu_backward(grad, x, num_iters)
    result = torch.empty_like(x)
    with autocast_disabled(x.device):
        for group in _groups(x):
            gradient, features = grad[group].to(dtype), x[group].to(dtype)
            gram_backward(gradient, features, num_iters, carrier, out=result[group])
    return result


@gram_pool.register_fake
def _(x: Tensor, num_iters: int, fused: bool = False) -> Tensor:
    return x.new_empty(x.shape[0], triangle_size(x.shape[1]))


@gram_pool_backward.register_fake
def _(grad: Tensor, x: Tensor, num_iters: int, fused: bool = False) -> Tensor:
    return torch.empty_like(x)


def _setup_context(ctx, inputs: tuple[Tensor, int, bool], output: Tensor) -> None:
    x, ctx.num_iters, ctx.fused = inputs
    ctx.save_for_backward(x)


def _backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:
    (x,) = ctx.saved_tensors
    if torch.is_grad_enabled() and (x.requires_grad or grad.requires_grad):
        # The gradient itself will be differentiated: by the plain operators, which keep a graph.
        return _differentiable_backward(grad, x, ctx.num_iters), None, None
    return gram_pool_backward(grad, x, ctx.num_iters, ctx.fused), None, None


def _differentiable_backward(grad: Tensor, x: Tensor, num_iters: int) -> Tensor:
    with autocast_disabled(x.device):
        vector = pool_conditioned(gram_autograd_global_covariance_pool, x, num_iters)
        return torch.autograd.grad(vector, x, grad, create_graph=True)[0]


def _in_front(x: Tensor, dim: int | None, size: int) -> Tensor:
    """Put the dimension that vmap runs over, of ``size``, in front."""
    return x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)


@gram_pool.register_vmap
def _(info, in_dims, x: Tensor, num_iters: int, fused: bool = False) -> tuple[Tensor, int]:
    x = _in_front(x, in_dims[0], info.batch_size)
    vector = gram_pool(x.flatten(0, 1), num_iters, fused)
    return vector.reshape(*x.shape[:2], vector.shape[1]), 0


@gram_pool_backward.register_vmap
def _(
    info, in_dims, grad: Tensor, x: Tensor, num_iters: int, fused: bool = False
) -> tuple[Tensor, int]:
    size = info.batch_size
    grad, x = (_in_front(t, dim, size) for t, dim in zip((grad, x), in_dims[:2], strict=True))
    found = gram_pool_backward(grad.flatten(0, 1), x.flatten(0, 1), num_iters, fused)
    return found.reshape(x.shape), 0


gram_pool.register_autograd(_backward, setup_context=_setup_context)


def _count_products(counter: ModuleType) -> None:
    """Tell ``torch.utils.flop_counter``, which passes shapes, what is inside the operators."""

    def sample(shape: torch.Size) -> Tensor:
        return torch.empty((1, *shape[1:]), device="meta")

    def count(batch: int, run: Callable[..., Tensor], *tensors: Tensor, steps: int) -> int:
        with counter.FlopCounterMode(display=False) as mode, torch.no_grad():
            run(*tensors[:-1], steps, Carrier(torch.float32), out=tensors[-1])
        return batch * mode.get_total_flops()

    @counter.register_flop_formula(torch.ops.gcp_mm.gram_pool)
    def _(x: torch.Size, num_iters: int, *_: object, out_shape: torch.Size, **__: object) -> int:
        return count(x[0], gram_forward, sample(x), sample(out_shape), steps=num_iters)

    @counter.register_flop_formula(torch.ops.gcp_mm.gram_pool_backward)
    def _(grad: torch.Size, x: torch.Size, num_iters: int, *_: object, **__: object) -> int:
        tensors = sample(grad), sample(x), sample(x)
        return count(x[0], gram_backward, *tensors, steps=num_iters)


COUNTER = "torch.utils.flop_counter"
try:
    from wrapt import register_post_import_hook
except ModuleNotFoundError:  # the layer needs torch alone
    _count_products(importlib.import_module(COUNTER))
else:  # its import takes a quarter of a second
    register_post_import_hook(_count_products, COUNTER)
