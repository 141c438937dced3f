"""Whole poolings against the numbers of the originals, and what every combination must keep."""

import itertools

import numpy as np
import pytest
import torch
from doc_snippets import python_snippet
from torch import nn

from gcp_mm.ops import (
    METHODS,
    GlobalCovariancePool,
    SecondOrderPool,
    global_covariance_pool,
    positions_last,
    second_order_pool,
)
from gcp_mm.ops.second_order import CountSketch

POWERS = {
    name: dict(normalization=dict(type="matrix_power", alpha=alpha))
    for name, alpha in (
        ("own_power03_tall", 0.3),
        ("own_power05_tall", 0.5),
        ("own_power05_wide", 0.5),
        ("own_power07_wide", 0.7),
    )
}
POW_TMLR = dict(normalization=["newton_schulz", dict(type="scaled", factor=2.0, shift=1.0)])
GOLDEN = {
    "bcnn_vec_tall": METHODS["bcnn"],
    "dropcov_eval_tall": dict(normalization=METHODS["dropcov"]["normalization"]),
    "own_gaussian_tall": METHODS["g2denet"],
    "own_logeuclid_tall": dict(normalization=dict(type="matrix_log", eps=1e-3)),
    **POWERS,
    "riemgcp_powtmlr_tall": POW_TMLR,
    "riemgcp_powtmlr_wide": POW_TMLR,
}
SHAPES = {"N > C": (2, 5, 3, 4), "N < C": (2, 7, 2, 2)}


@pytest.fixture(params=METHODS)
def method(request):
    """Build a method for a number of channels, for evaluation."""

    def build(channels, dtype=torch.float32):
        settings = dict(vectorization=dict(type="count_sketch", dim=16))
        settings = settings if request.param == "cbp" else {}
        pool = SecondOrderPool.of_method(request.param, channels, **settings)
        for weight in pool.parameters():
            nn.init.constant_(weight, 0.5)
        return pool.to(dtype).eval()

    return build


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_numbers(check_golden, name):
    check_golden(name, lambda x, _: second_order_pool(x, **GOLDEN[name]))


@pytest.mark.parametrize("name", ["svd_pade_tall", "svd_pade_wide"])
def test_exact_root_is_that_of_eigenvectors_in_float64(check_golden, name):
    # Where N < C, the original lifts null eigenvalues to 2e-16, whose root is 1.5e-8.
    def pool(x, _):
        return second_order_pool(x.double(), **POWERS["own_power05_tall"]).to(x.dtype)

    tolerance = 1e-12 if name.endswith("tall") else 1e-6
    check_golden(name, pool, "exact_grad", "exact_output", tolerance)


def test_columns_of_unit_length(check_golden):
    """The second form of B-CNN in fast-MPN-COV, whose last step is no part of this project."""
    settings = dict(representation="second_moment", normalization="signed_power")

    def pool(x, golden):
        matrix = second_order_pool(x, **settings, vectorization="full")
        return nn.functional.normalize(matrix.view(golden["output"].shape), dim=1)

    check_golden("bcnn_mat_wide", pool)


def test_compact_bilinear(check_golden):
    def pool(x, golden):
        sketch = CountSketch(golden["h"].shape[1], golden["raw"].shape[1])
        sketch.buckets.copy_(torch.tensor(golden["h"]))
        sketch.signs.copy_(torch.tensor(golden["s"]))
        return second_order_pool(x, **{**METHODS["cbp"], "vectorization": sketch})

    check_golden("cbp_tall", pool)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_gradients_are_those_of_finite_differences(method, normal, shape):
    x = normal(*shape).requires_grad_()
    assert torch.autograd.gradcheck(method(shape[1], torch.float64), x)


HARD = {
    "zeros": lambda shape: torch.zeros(shape),
    "constant": lambda shape: torch.full(shape, 3.0),
    "one position differs": lambda shape: torch.eye(*shape[2:]).expand(shape),
    "one channel is dead": lambda shape: (
        torch.rand(shape) * (torch.arange(shape[1]) > 0).view(1, -1, 1, 1)
    ),
    "equal eigenvalues": lambda shape: (
        torch.eye(shape[1], shape[2] * shape[3]).expand(shape[0], -1, -1).reshape(shape)
    ),
    "large": lambda shape: torch.rand(shape) * 1e15,
    "small": lambda shape: torch.rand(shape) * 1e-18,
    "no sample": lambda shape: torch.zeros(0, *shape[1:]),
}


PARTS = ["matrix_log", "pade", "taylor", dict(type="taylor", gradient="lyapunov"), "scaled"]


@pytest.mark.parametrize("normalization", PARTS, ids=str)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("features", HARD.values(), ids=HARD)
def test_parts_of_no_method_are_finite_too(normalization, features, shape):
    x = features(shape).requires_grad_()
    vectors = second_order_pool(x, normalization=normalization)
    vectors.sum().backward()
    assert vectors.isfinite().all()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("features", HARD.values(), ids=HARD)
def test_value_and_gradient_are_finite(method, features, shape, dtype):
    pool = method(shape[1])
    x = features(shape).to(dtype).requires_grad_()
    vectors = pool(x)
    vectors.float().sum().backward()
    assert vectors.dtype == dtype
    assert vectors.shape == (len(x), pool.out_channels)
    assert vectors.isfinite().all()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_autocast_and_layout_in_memory_change_nothing(method, normal, shape):
    pool, x = method(shape[1]), normal(*shape, dtype=torch.float32)
    expected = pool(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(pool(x), expected)
    strided = x.to(memory_format=torch.channels_last)
    torch.testing.assert_close(pool(strided), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_traced_program_takes_other_sizes(method, normal, shape):
    pool = method(shape[1], torch.float64)
    traced = torch.jit.trace(pool, normal(*shape), check_trace=False)
    for size in ((1, 3), (2, 2), (5, 4)):
        x = normal(*shape[:2], *size)
        torch.testing.assert_close(traced(x), pool(x))


@pytest.mark.slow
def test_graphs_without_a_break(method, normal):
    check_graphs(method, normal(*SHAPES["N < C"]))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mpn_cov"], indirect=True)
def test_graph_of_eigenvalues_of_the_matrix_itself(method, normal):
    check_graphs(method, normal(*SHAPES["N > C"]))


def check_graphs(method, x):
    """Compare what is compiled, exported and traced with the pooling."""
    pool = method(x.shape[1], torch.float64)
    x.requires_grad_()
    torch.compiler.reset()
    compiled = torch.compile(pool, fullgraph=True, backend="aot_eager")
    expected, found = pool(x), compiled(x)
    torch.testing.assert_close(found, expected)
    weight = torch.linspace(-1, 1, expected.shape[1], dtype=x.dtype)
    gradients = [torch.autograd.grad((v * weight).sum(), x)[0] for v in (expected, found)]
    torch.testing.assert_close(*gradients)
    torch.compiler.reset()
    x = x.detach()
    exported = torch.export.export(pool, (x,)).module()
    torch.testing.assert_close(exported(x), expected)
    torch.testing.assert_close(torch.jit.trace(pool, x)(x), expected)


def test_transforms_of_functions(method, normal):
    pool, x = method(5, torch.float64), normal(3, 5, 2, 2).requires_grad_()
    expected = pool(x)
    mapped = torch.func.vmap(lambda sample: pool(sample[None])[0])(x)
    torch.testing.assert_close(mapped, expected)
    (gradient,) = torch.autograd.grad(expected.square().sum(), x)
    found = torch.func.grad(lambda features: pool(features).square().sum())(x.detach())
    torch.testing.assert_close(found, gradient)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    "vectorization", ["triangle", "full", dict(type="triangle", order="lower_rows")]
)
def test_layer_itself_serves_what_it_can(normal, pulled_back, shape, vectorization, monkeypatch):
    """By the same numbers as the general way, which composes the parts on the matrix."""
    x = normal(*shape)
    steps = dict(type="newton_schulz", num_iters=3)
    general = dict(normalization=[steps, "none"], vectorization=vectorization)
    cotangent = normal(shape[0], second_order_pool(x, **general).shape[1], seed=1)
    expected = pulled_back(lambda y: second_order_pool(y, **general), x, cotangent)
    called = []
    monkeypatch.setattr(
        "gcp_mm.ops.second_order.pool.global_covariance_pool",
        lambda *arguments: called.append(1) or global_covariance_pool(*arguments),
    )
    fast = dict(normalization=steps, vectorization=vectorization)
    found = pulled_back(lambda y: second_order_pool(y, **fast), x, cotangent)
    assert called
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_examples_of_the_page(capsys):
    names = {}
    for word in ("second_order_pool(", 'layout="frames"'):
        exec(python_snippet("docs/second_order.md", word), names)
    assert names["vectors"].shape == names["clips"].shape == names["tokens"].shape == (2, 2080)
    assert capsys.readouterr().out == "torch.Size([2, 8192]) 8192\n"


def test_no_vector_normalization_can_be_named(normal):
    x = normal(2, 6, 3, 3, dtype=torch.float32)
    assert torch.equal(SecondOrderPool(6, vector_normalization=None)(x), SecondOrderPool(6)(x))
    assert torch.equal(second_order_pool(x, vector_normalization=None), second_order_pool(x))


def test_default_is_global_covariance_pooling(normal):
    x = normal(2, 6, 3, 3, dtype=torch.float32)
    assert torch.equal(SecondOrderPool(6)(x), GlobalCovariancePool()(x))
    assert torch.equal(SecondOrderPool.of_method("isqrt_cov", 6)(x), GlobalCovariancePool()(x))


def test_every_order_of_parts_gives_the_length_that_it_says(normal):
    parts = itertools.product(
        ("covariance", "second_moment", "gaussian"),
        ("none", "newton_schulz", "matrix_power", "matrix_log", "signed_power", "svpn", "taylor"),
        ("triangle", "full", dict(type="count_sketch", dim=7)),
        ((), "l2", ["signed_power", "l2"]),
    )
    x = normal(2, 4, 3, 3, dtype=torch.float32)
    for representation, normalization, vectorization, after in parts:
        pool = SecondOrderPool(4, representation, normalization, vectorization, after)
        assert pool(x).shape == (2, pool.out_channels)


def test_frames_and_tokens_are_positions(normal):
    frames = normal(2, 3, 5, 2, 4)  # (B, T, C, H, W)
    expected = np.stack(
        [
            np.cov(np.concatenate([*clip.flatten(2).numpy()], axis=1), bias=True)[
                np.triu_indices(5)
            ]
            for clip in frames
        ]
    )
    pool = SecondOrderPool(5, normalization="none", layout="frames")
    np.testing.assert_allclose(pool(frames), expected, rtol=1e-12)
    tokens = frames.transpose(2, 4).reshape(2, -1, 5)  # (B, L, C), in another order
    with_class = torch.cat([torch.full((2, 1, 5), 1e3, dtype=torch.float64), tokens], dim=1)
    pool = SecondOrderPool(5, normalization="none", layout="tokens", num_extra_tokens=1)
    np.testing.assert_allclose(pool(with_class), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "settings", "words"),
    [
        ((2, 5), {}, "got (2, 5)"),
        ((2, 5, 2, 2), dict(layout="tokens"), "(B, L, C), got (2, 5, 2, 2)"),
        ((2, 5, 2, 2), dict(layout="frames"), "(B, T, C, H, W), got (2, 5, 2, 2)"),
        ((2, 5, 2, 2), dict(layout="rows"), "'channels_first', 'frames', 'tokens'"),
        ((2, 1, 5), dict(layout="tokens", num_extra_tokens=1), "less 1 extra tokens"),
        ((2, 5, 4), dict(num_extra_tokens=1), "got 1 with layout 'channels_first'"),
        ((2, 5, 4), dict(layout="tokens", num_extra_tokens=-1), "got -1 with layout 'tokens'"),
        ((2, 5, 0), {}, "at least one channel and one position"),
    ],
)
def test_shapes_that_do_not_fit(shape, settings, words):
    with pytest.raises(ValueError) as error:
        positions_last(torch.zeros(shape), **settings)
    assert words in str(error.value)


def test_channels_that_do_not_fit():
    with pytest.raises(ValueError, match=r"channels=6\) got features of shape \(2, 5, 2, 2\)"):
        SecondOrderPool(6)(torch.zeros(2, 5, 2, 2))
    for channels in (0, 6.0, "6"):
        with pytest.raises(ValueError, match=f"channels must be an integer >= 1, got {channels!r}"):
            SecondOrderPool(channels)
    assert SecondOrderPool(np.int64(6)).out_channels == 21
    with pytest.raises(ValueError, match="unknown method 'mpn'; choose one of 'isqrt_cov'"):
        SecondOrderPool.of_method("mpn", 6)
    with pytest.raises(ValueError, match="floating-point"):
        second_order_pool(torch.zeros(2, 5, 2, 2, dtype=torch.int64))
