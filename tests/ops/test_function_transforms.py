"""The layer under vmap, the transforms of torch.func, forward mode and second derivatives."""

import pytest
import torch
from torch.autograd import forward_ad

from gcp_mm.ops import global_covariance_pool
from gcp_mm.ops.gram.operator import gram_pool


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_vmap_over_any_dimension(normal, dim):
    x = normal(3, 2, 5, 4).movedim(0, dim)
    found = torch.vmap(lambda x: global_covariance_pool(x), in_dims=dim)(x)
    expected = torch.stack([global_covariance_pool(sample) for sample in x.unbind(dim)])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def test_gradients_of_single_samples(normal, pulled_back):
    """torch.func: the gradient of each sample's own loss."""
    x, weight = normal(3, 5, 4), normal(15)

    def loss(sample):
        return (global_covariance_pool(sample[None])[0] * weight).sum()

    found = torch.vmap(torch.func.grad(loss))(x)
    _, expected = pulled_back(lambda x: global_covariance_pool(x), x, weight.expand(3, -1))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def test_jacobian_of_torch_func(normal):
    x = normal(1, 4, 3)
    found = torch.func.jacrev(global_covariance_pool)(x)
    torch.testing.assert_close(found, jacobian(x), rtol=1e-11, atol=1e-12)


def jacobian(x):
    """Jacobian of the published formulas, row by row."""
    return torch.autograd.functional.jacobian(
        lambda x: global_covariance_pool(x, impl="reference"), x
    )


@pytest.mark.parametrize("shape", [(1, 4, 3), (2, 3, 5)])
def test_jacobian_by_vmap_over_cotangents(normal, shape):
    x = normal(*shape)
    found = torch.autograd.functional.jacobian(lambda x: gram_pool(x, 5), x, vectorize=True)
    torch.testing.assert_close(found, jacobian(x), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("function", [lambda x: gram_pool(x, 5), global_covariance_pool])
def test_vmap_over_nothing(function):
    assert torch.vmap(function)(torch.zeros(0, 2, 6, 4)).shape == (0, 2, 21)


@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 3, 5)])
def test_forward_mode(normal, shape):
    x, v = normal(*shape).requires_grad_(), normal(*shape, seed=1)
    assert torch.autograd.gradcheck(global_covariance_pool, x, check_forward_ad=True)
    x = x.detach()
    _, expected = torch.func.jvp(lambda x: global_covariance_pool(x, impl="reference"), (x,), (v,))
    with forward_ad.dual_level():
        dual = global_covariance_pool(forward_ad.make_dual(x, v))
        found = forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def test_compiled_transforms_of_torch_func(normal):
    def loss(x):
        return global_covariance_pool(x).square().sum()

    x = normal(2, 5, 3)
    compiled = torch.compile(torch.func.grad(loss), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), torch.func.grad(loss)(x), rtol=1e-10, atol=1e-11)
    torch.compiler.reset()


def test_hessian_vector_product_equals_the_reference(normal):
    x, v, weight = normal(2, 6, 4), normal(2, 6, 4, seed=1), normal(21, seed=2)

    def product(impl):
        def loss(x):
            return (global_covariance_pool(x, impl=impl) ** 2 * weight).sum()

        return torch.autograd.functional.vhp(loss, x, v)[1]

    torch.testing.assert_close(product("gram"), product("reference"), rtol=1e-10, atol=1e-11)
