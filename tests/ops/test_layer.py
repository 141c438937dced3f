import numpy as np
import pytest
import torch

from gcp_mm.ops import GlobalCovariancePool, global_covariance_pool
from ops.devices import on_every_device

STEPS = [1, 2, 3, 5, 7]


def test_golden_layer(golden_layer, any_impl, dtype, tolerance, pulled_back, worst):
    record = np.load(golden_layer)
    suffix = {torch.float32: "", torch.float64: "_f64"}[dtype]
    value, gradient = pulled_back(
        lambda x: global_covariance_pool(x, int(record["iter_n"]), any_impl),
        torch.from_numpy(record["x"]).to(dtype),
        torch.from_numpy(record["grad_y"]),
    )
    assert value.dtype == gradient.dtype == dtype
    assert worst(value, record["y" + suffix]) < tolerance
    assert worst(gradient, record["grad_x" + suffix]) < tolerance


@on_every_device
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("shape", [(2, 7, 12), (2, 12, 7)])
def test_equals_polynomial_of_the_eigenvalues(normal, eigen_pool, worst, impl, shape, steps):
    x = normal(*shape)
    assert worst(global_covariance_pool(x, steps, impl), eigen_pool(x, steps)) < 1e-12


@pytest.mark.parametrize("steps", STEPS)
def test_two_positions_have_a_closed_form(normal, pulled_back, worst, impl, steps):
    """With d = x_1 - x_2 the covariance is d d^T / 4, of rank one, and S = d d^T / (2 |d|)."""
    rows, cols = torch.triu_indices(5, 5)

    def closed_form(x):
        d = x[..., 0] - x[..., 1]
        return (d[:, rows] * d[:, cols]) / (2 * d.norm(dim=1, keepdim=True))

    x, g = normal(3, 5, 2), normal(3, 15, seed=1)
    found = pulled_back(lambda x: global_covariance_pool(x, steps, impl), x, g)
    expected = pulled_back(closed_form, x, g)
    assert worst(found[0], expected[0]) < 1e-13
    assert worst(found[1], expected[1]) < 1e-12


@on_every_device
@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 3, 5), (1, 2, 3, 2)])
def test_numerical_gradient(normal, impl, shape):
    """Shift and scale of a sample are held constant inside; the gradient has to be whole."""
    x = normal(*shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: global_covariance_pool(x, impl=impl), x)
    assert torch.autograd.gradgradcheck(lambda x: global_covariance_pool(x, impl=impl), x)


def test_defaults_are_five_steps_of_the_gram_form(normal):
    x = normal(2, 6, 4)
    assert torch.equal(global_covariance_pool(x), global_covariance_pool(x, 5, "gram"))
    assert torch.equal(global_covariance_pool(x), global_covariance_pool(x, 5, "auto"))


@pytest.mark.parametrize("factor", [1e-3, 0.3, 7.0])
def test_homogeneous_of_degree_one(normal, pulled_back, worst, impl, factor):
    x = normal(2, 6, 9)
    value, gradient = pulled_back(lambda x: global_covariance_pool(x, impl=impl), x)
    scaled = pulled_back(lambda x: global_covariance_pool(x, impl=impl), factor * x)
    assert worst(scaled[0], factor * value) < 1e-13
    assert worst(scaled[1], gradient) < 1e-12


@pytest.mark.parametrize("mean", [1.0, 50.0])
def test_shift_of_a_channel_changes_nothing(normal, worst, impl, mean):
    x, shift = normal(2, 6, 9), mean * normal(2, 6, 1, seed=1)
    found = global_covariance_pool(x + shift, impl=impl)
    assert worst(found, global_covariance_pool(x, impl=impl)) < 1e-12


def test_order_of_the_positions_does_not_matter(normal, worst, impl):
    x = normal(2, 6, 3, 4)
    reordered = x.flatten(2)[..., torch.from_numpy(np.random.default_rng(0).permutation(12))]
    found = global_covariance_pool(reordered.view(2, 6, 4, 3), impl=impl)
    assert worst(found, global_covariance_pool(x, impl=impl)) < 1e-13


@pytest.mark.parametrize(("channels", "positions"), [(12, 5), (5, 12), (6, 6)])
def test_matrix_is_positive_semidefinite_of_the_rank_of_the_covariance(
    normal, impl, channels, positions
):
    vector = global_covariance_pool(normal(1, channels, positions), impl=impl)[0].numpy()
    root = np.zeros((channels, channels))
    root[np.triu_indices(channels)] = vector
    root += np.triu(root, 1).T
    values = np.linalg.eigvalsh(root)
    assert values.min() > -1e-13
    assert (values > 1e-10).sum() == min(channels, positions - 1)


@on_every_device
@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.flatten(2),
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.mT.contiguous().mT,
        lambda x: torch.stack([x, x], dim=-1)[..., 0],
        lambda x: x.repeat(2, 1, 1, 1)[::2],
    ],
    ids=["(B, C, N)", "channels_last", "transposed", "strided", "every other sample"],
)
def test_layout_in_memory_does_not_matter(normal, pulled_back, impl, view):
    x = normal(2, 6, 3, 4)
    x[1] = x[0]  # so that every other sample of the repeated batch is the same one
    expected = pulled_back(lambda x: global_covariance_pool(x, impl=impl), x)
    found = pulled_back(lambda x: global_covariance_pool(view(x), impl=impl), x)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.sum(0), theirs.sum(0), rtol=1e-12, atol=1e-13)


@on_every_device
def test_samples_of_a_batch_are_independent(normal, impl):
    x = normal(3, 6, 9)
    alone = torch.cat([global_covariance_pool(sample[None], impl=impl) for sample in x])
    torch.testing.assert_close(global_covariance_pool(x, impl=impl), alone, rtol=1e-13, atol=1e-14)


@on_every_device
@pytest.mark.parametrize("shape", [(0, 6, 3, 4), (0, 12, 5)])
def test_empty_batch(pulled_back, normal, impl, shape):
    value, gradient = pulled_back(lambda x: global_covariance_pool(x, impl=impl), normal(*shape))
    assert value.shape == (0, shape[1] * (shape[1] + 1) // 2)
    assert gradient.shape == shape


def test_meta_tensors_get_the_output_shape(impl):
    vector = global_covariance_pool(torch.empty(2, 256, 14, 14, device="meta"), impl=impl)
    assert vector.shape == (2, 32896) and vector.device.type == "meta"


@pytest.mark.parametrize(
    ("x", "arguments", "named"),
    [
        (torch.zeros(4, 6), {}, r"\(B, C, H, W\) or \(B, C, N\), got \(4, 6\)"),
        (torch.zeros(2, 3, 0, 5), {}, r"one position, got \(2, 3, 0, 5\)"),
        (torch.zeros(2, 0, 5), {}, r"one channel .* got \(2, 0, 5\)"),
        (torch.zeros(2, 3, 4, dtype=torch.int32), {}, r"torch\.int32; convert it with \.float"),
        (torch.zeros(2, 3, 4, dtype=torch.bool), {}, r"torch\.bool"),
        (torch.zeros(2, 3, 4, dtype=torch.complex64), {}, r"torch\.complex64"),
        (torch.zeros(2, 3, 4), dict(num_iters=0), "num_iters must be an integer >= 1, got 0"),
        (torch.zeros(2, 3, 4), dict(num_iters=True), "got True"),
        (torch.zeros(2, 3, 4), dict(num_iters=2.5), r"got 2\.5"),
        (torch.zeros(2, 3, 4), dict(impl="eigen"), "'eigen'; .* 'auto', 'gram', .*, 'reference'"),
    ],
)
def test_error_names_the_argument(x, arguments, named):
    with pytest.raises(ValueError, match=named):
        global_covariance_pool(x, **arguments)


@pytest.mark.parametrize("arguments", [{}, dict(num_iters=3), dict(num_iters=3, impl="reference")])
def test_module_equals_the_function(normal, arguments):
    x = normal(2, 6, 3, 4)
    module = GlobalCovariancePool(**arguments)
    assert torch.equal(module(x), global_covariance_pool(x, **arguments))
    assert not module.state_dict()


def test_module_shows_its_settings():
    assert repr(GlobalCovariancePool()) == "GlobalCovariancePool(num_iters=5, impl=auto)"


@pytest.mark.parametrize(
    ("arguments", "named"), [(dict(num_iters=0), "got 0"), (dict(impl="fast"), "'fast'")]
)
def test_module_checks_its_settings(arguments, named):
    with pytest.raises(ValueError, match=named):
        GlobalCovariancePool(**arguments)
