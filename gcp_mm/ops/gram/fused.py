"""The layer in three launches forward and four backward: one program for all products of a sample.

For half precision on a GPU and N < C. Every launch costs the host tens of microseconds, and by
``passes.py`` a forward and a backward pass are about 150 of them, 37 for products and the others
for small operations between them. Here they are

======== ================================ =====================================================
forward  ``normalise_kernel``             features of mean zero and norm 16, mixed, in float16
.        ``polynomial_kernel``            X q(K), a program for each sample
.        ``packed_product_kernel``        its product with X, by blocks
backward ``normalise_kernel``             and the norm of the incoming gradient
.        ``packed_symmetric_matmul...``   H = G X, by blocks
.        ``polynomial_kernel``            H q(K) + X D q(K)[W], a program for each sample
.        ``gradient_kernel``              the gradient of the features, by rows
======== ================================ =====================================================

with the arithmetic of a :class:`gcp_mm.ops.gram.arithmetic.Carrier` of float16. What the launches
of a pass are given is worked out once for a shape, and kept.

Nobody has measured on a GPU yet whether this is faster, so that it runs only where it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gcp_mm.ops.gram.arithmetic import ALIGNED_POSITIONS, HALVES, MOST_HALF_STEPS, Carrier
from gcp_mm.ops.gram.recipe import recipe
from gcp_mm.ops.gram.tables import GROUP, cached_table, mixing_matrix
from gcp_mm.ops.triton_kernels import triton_status
from gcp_mm.ops.triton_kernels.fallback import fused_failures
from gcp_mm.ops.triton_kernels.launch import (
    Layout,
    has_contiguous_lines,
    layouts,
    on_device_of,
    split_size,
    tile_for,
)
from gcp_mm.ops.triu_vec import triangle_size

MOST_POSITIONS = 256
"""A row of features is one block of the kernels that normalise."""

DEVICE_BYTES = 512 * 2**20
"""Features, and what is as large, of samples whose passes share their launches."""

PROGRAMS_PER_PROCESSOR = 2
"""While one program waits for memory, another multiplies; their matrices share the L2 cache."""

ROW_ELEMENTS, CHUNK, ROW_WARPS = 8192, 4096, 8
"""Blocks of rows and of a gradient where features are normalised, and the warps that take one."""

STATISTICS = 7
"""Numbers of a sample, see ``normalise_kernel`` and ``polynomial_kernel``."""

LIFT = Carrier(torch.float16).lift


def fused_status(x: Tensor, num_iters: int) -> str | None:
    """Say why features (B, C, N) cannot be pooled in a few launches; None if they can."""
    channels, positions = x.shape[1:]
    if x.dtype not in HALVES:
        return f"it is for half precision, not for {x.dtype}"
    if num_iters > MOST_HALF_STEPS:
        return f"it is for at most {MOST_HALF_STEPS} steps, not for {num_iters}"
    if not positions < channels or positions > MOST_POSITIONS:
        return (
            f"it is for fewer positions than channels and at most {MOST_POSITIONS}, not for "
            f"C = {channels}, N = {positions}"
        )
    if fused_failures:
        return f"a kernel of it failed earlier in this process: {fused_failures[0]}"
    return triton_status(x)


def describe(x: Tensor) -> str:
    """Say for features (B, C, N) what runs."""
    channels, positions = x.shape[1:]
    return (
        f"N x N matrices for C = {channels}, N = {positions}; carried by torch.float16; Triton "
        "kernels, one program for all products of a sample, 3 launches forward and 4 backward"
    )


@cached_table
def _places(num_iters: int, device: torch.device) -> Tensor:
    """Slots of the products of :func:`recipe`, one after the other."""
    places = [number for product in recipe(num_iters).products for number in product[:7]]
    return _filled(places or [0], torch.int32, device)


@cached_table
def _factors(num_iters: int, device: torch.device) -> Tensor:
    """Their factors, for matrices that are stored times LIFT squared."""
    factors = []
    for product in recipe(num_iters).products:
        factors += [product.alpha / LIFT**2, product.beta, product.gamma, product.delta]
    return _filled(factors or [0.0], torch.float32, device)


def _filled(numbers: list[Any], dtype: torch.dtype, device: torch.device) -> Tensor:
    table = torch.empty(len(numbers), dtype=dtype, device=device)
    for place, number in zip(table, numbers, strict=True):
        place.fill_(number)  # no copy from the host, which a capture of a CUDA graph would refuse
    return table


@cache
def num_programs(device: torch.device) -> int:
    """Return how many programs take samples in turns; a few in the interpreter."""
    if device.type != "cuda":
        return 2
    properties = torch.cuda.get_device_properties(device)
    return PROGRAMS_PER_PROCESSOR * properties.multi_processor_count


class Launch:
    """A kernel with its grid and all of its arguments but the tensors.

    Called with the tensors in the order of the kernel's signature. Triton looks for the compiled
    kernel that its arguments need anew each time, which is most of the host time of a launch. Here
    numbers and constants stay the same, so that it depends on dtypes and alignment of the tensors.
    """

    def __init__(self, kernel: Any, grid: int, options: dict[str, int], **values: Any) -> None:
        self.grid, self.options = (grid, 1, 1), options
        self.start = kernel[self.grid]
        self.names: list[str] = kernel.arg_names
        self.arguments = [values.get(name) for name in self.names]
        self.places = [i for i, name in enumerate(self.names) if name not in values]
        self.compiled: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def __call__(self, *tensors: Tensor) -> None:
        """Start the kernel on the current stream of the current device."""
        arguments = self.arguments.copy()
        for place, tensor in zip(self.places, tensors, strict=True):
            arguments[place] = tensor
        key = tuple([(tensor.dtype, tensor.data_ptr() % 16 == 0) for tensor in tensors])
        start = self.compiled.get(key)
        if start:
            start(*arguments)
            return
        kernel = self.start(*arguments, **self.options)
        if kernel is not None:  # which it is in the interpreter
            self.compiled[key] = kernel[self.grid]


class Plan(NamedTuple):
    """The launches of a pass, for features of one shape and layout on one device."""

    padded: int
    matrices: int
    """Of float16 numbers, ``padded`` x ``padded``, that the programs need."""
    normalise: Launch
    polynomial: Launch
    packed: Launch
    gradient: Launch | None


def _placed(name: str, layout: Layout) -> dict[str, Any]:
    """Give a kernel the layout of its tensor of this name."""
    values = (layout.batch_stride, layout.outer_stride, layout.transposed)
    names = (f"{name}_batch", f"{name}_outer", f"{name.upper()}_TRANSPOSED")
    return dict(zip(names, values, strict=True))


# A detector's shapes, of which there is no end, must not fill the memory.
@lru_cache(maxsize=1024)
def make_plan(
    shape: torch.Size,
    strides: tuple[int, ...],
    out_strides: tuple[int, ...] | None,
    device: torch.device,
    programs: int,
    num_iters: int,
) -> Plan:
    """Work out the launches of a pass; a backward pass has ``out_strides``, those of its result."""
    from gcp_mm.ops.triton_kernels import fused_kernels, kernels

    batch, channels, positions = shape
    group_count = -(-positions // GROUP)
    padded = group_count * GROUP
    backward = out_strides is not None
    columns = 1 << (padded - 1).bit_length()
    rows = min(ROW_ELEMENTS // columns, 1 << (channels - 1).bit_length())
    rows = max(rows, GROUP * GROUP // columns)  # as many as a product needs
    units, unit = split_size(positions)
    sizes = dict(num_channels=channels, group_count=group_count, lift=LIFT)
    blocks = dict(num_positions=units, POSITION_UNIT=unit, ROWS=rows, COLUMNS=columns)

    align, (layout,) = layouts(strides)
    normalise = Launch(
        fused_kernels.normalise_kernel,
        batch,
        dict(num_warps=ROW_WARPS),
        HAS_GRAD=backward,
        CHUNK=CHUNK,
        ALIGN=align,
        **_placed("x", layout),
        **sizes,
        **blocks,
    )
    instructions = recipe(num_iters)
    factor = instructions.factor / LIFT**2
    # Blocks of 64 rows at most: larger ones read less, and spill. See benchmarks/registers.py.
    tile = tile_for(padded, torch.float16, "ieee")
    programs = min(programs, batch)
    polynomial = Launch(
        fused_kernels.polynomial_kernel,
        programs,
        dict(num_warps=tile.num_warps, num_stages=tile.num_stages),
        num_products=len(instructions.products),
        result=instructions.result,
        result_factor=factor,
        identity=instructions.identity / factor,
        batch=batch,
        DUAL=backward,
        slots=instructions.slots,
        BLOCK=tile.block,
        BLOCK_K=tile.block_k,
        **sizes,
    )
    # Features and what has their shape are contiguous from here on.
    align, (layout,) = layouts((channels * padded, padded, 1))
    tile = tile_for(max(channels, padded) if backward else channels, torch.float16, "ieee")
    kernel: Any = kernels.packed_product_kernel
    names, grid = ("left", "right"), tile.num_upper_blocks(channels)
    if backward:
        kernel = kernels.packed_symmetric_matmul_kernel
        names, grid = ("right", "out"), tile.num_blocks(channels) * tile.num_blocks(padded)
    channel_units, channel_unit = split_size(channels)
    packed = Launch(
        kernel,
        batch * grid,
        dict(num_warps=tile.num_warps, num_stages=tile.num_stages),
        channel_units=channel_units,
        CHANNEL_UNIT=channel_unit,
        position_units=group_count,
        POSITION_UNIT=GROUP,
        ALIGN=align,
        INPUT_PRECISION="ieee",
        BLOCK=tile.block,
        BLOCK_K=tile.block_k,
        **_placed(names[0], layout),
        **_placed(names[1], layout),
    )
    gradient = None
    if out_strides is not None:
        align, (layout, out_layout) = layouts(strides, out_strides)
        gradient = Launch(
            fused_kernels.gradient_kernel,
            batch * -(-channels // rows),
            dict(num_warps=ROW_WARPS),
            batch=batch,
            ALIGN=align,
            **_placed("x", layout),
            **_placed("out", out_layout),
            **sizes,
            **blocks,
        )
    matrices = programs * instructions.slots * (2 if backward else 1)
    return Plan(padded, matrices, normalise, polynomial, packed, gradient)


def groups(x: Tensor) -> Iterator[slice]:
    """Split a batch so that features in float16, three times, stay within bounds."""
    step = max(1, DEVICE_BYTES // (6 * x.shape[1] * (x.shape[2] + ALIGNED_POSITIONS)))
    return (slice(start, start + step) for start in range(0, len(x), step))


class _Pass:
    """What both directions have: a plan, features and numbers of each sample."""

    def __init__(self, x: Tensor, num_iters: int, out: Tensor | None) -> None:
        device, strides = x.device, None if out is None else out.stride()
        programs = num_programs(device)
        self.plan = make_plan(x.shape, x.stride(), strides, device, programs, num_iters)
        self.x, self.num_iters = x, num_iters
        self.mix = mixing_matrix(GROUP, device)
        self.features = self.empty()
        row = -(-len(x) // 4) * 4  # `row_length` of the kernels
        self.statistics = x.new_empty((STATISTICS, row), dtype=torch.float32)

    def empty(self) -> Tensor:
        """Return float16 memory for padded features."""
        shape = (*self.x.shape[:2], self.plan.padded)
        return self.x.new_empty(shape, dtype=torch.float16)

    def normalise(self, grad: Tensor) -> None:
        """Fill features and numbers; the gradient is not read in a forward pass."""
        self.plan.normalise(self.x, self.mix, grad, self.features, self.statistics)

    def polynomial(self, pulled: Tensor) -> Tensor:
        """Return X q(K) for ``pulled`` X, or backward H q(K) + X D for ``pulled`` H."""
        out, device = self.empty(), self.x.device
        scratch = self.x.new_empty(self.plan.matrices * self.plan.padded**2, dtype=torch.float16)
        tables = _places(self.num_iters, device), _factors(self.num_iters, device)
        self.plan.polynomial(self.features, pulled, out, self.statistics, scratch, *tables)
        return out


def _fused_forward(x: Tensor, num_iters: int, vector: Tensor) -> None:
    this = _Pass(x, num_iters, None)
    this.normalise(x)
    left = this.polynomial(this.features)
    this.plan.packed(left, this.features, this.statistics[2], vector)


def _fused_backward(grad: Tensor, x: Tensor, num_iters: int, result: Tensor) -> None:
    this = _Pass(x, num_iters, result)
    this.normalise(grad)
    pulled = this.empty()
    this.plan.packed(this.features, pulled, grad, this.statistics[4])
    mixed = this.polynomial(pulled)
    assert this.plan.gradient
    this.plan.gradient(x, result, this.mix, mixed, this.statistics)


def fused_forward(x: Tensor, num_iters: int) -> Tensor:
    """Return the vectors (B, C (C + 1) / 2) of features (B, C, N); see :func:`fused_status`."""
    vector = x.new_empty(len(x), triangle_size(x.shape[1]))
    if not has_contiguous_lines(x):
        x = x.contiguous()
    with on_device_of(x):
        for group in groups(x):
            _fused_forward(x[group], num_iters, vector[group])
    return vector


def fused_backward(x: Tensor, grad: Tensor, num_iters: int) -> Tensor:
    """Return the gradient of the features, in their dtype, from that of the vectors."""
    result = torch.empty_like(x)
    out = result if has_contiguous_lines(result) else x.new_empty(x.shape)
    if not has_contiguous_lines(x):
        x = x.contiguous()
    grad = grad.contiguous()
    with on_device_of(x):
        for group in groups(x):
            _fused_backward(grad[group], x[group], num_iters, out[group])
    return result if out is result else result.copy_(out)
