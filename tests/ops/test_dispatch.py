"""The layer under vmap, the transforms of torch.func, forward mode and second derivatives."""

import re

import pytest
import torch
from torch.autograd import forward_ad

from gcp_mm.ops import dispatch, explain, global_covariance_pool
from gcp_mm.ops.gram.operator import gram_pool
from ops.devices import on_every_device

X = torch.rand(2, 6, 3, 4)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in (dispatch.ENVIRONMENT, "GCP_MM_CPU_KERNELS", "TRITON_INTERPRET"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ran(monkeypatch):
    """Names of the implementations in the order in which they ran."""
    names = []

    def note(name, pool):
        return lambda x, num_iters: names.append(name) or pool(x, num_iters)

    for name, pool in dispatch.IMPLEMENTATIONS.items():
        monkeypatch.setitem(dispatch.IMPLEMENTATIONS, name, note(name, pool))
    return names


@pytest.mark.parametrize("impl", ["gram", "gram_fused", "gram_autograd", "reference"])
def test_argument_comes_before_environment(monkeypatch, ran, impl):
    monkeypatch.setenv(dispatch.ENVIRONMENT, "gram_autograd")
    global_covariance_pool(X, impl=impl)
    assert ran == [impl]
    named = "gram" if impl == "gram_fused" else impl  # which needs a GPU
    assert explain(X, impl).startswith(f"{named}: asked for with impl={impl!r}")


def test_environment_comes_before_the_choice(monkeypatch, ran):
    monkeypatch.setenv(dispatch.ENVIRONMENT, "reference")
    global_covariance_pool(X)
    assert ran == ["reference"]
    assert explain(X) == "reference: asked for with GCP_MM_IMPL=reference"


def test_operator_is_the_default(ran):
    global_covariance_pool(X)
    assert ran == ["gram"]


@pytest.mark.parametrize(
    ("shape", "named"),
    [((2, 6, 3, 4), "C x C .* C = 6, N = 12"), ((2, 13, 12), "N x N .* C = 13, N = 12")],
)
def test_reason_names_matrices_and_sizes(shape, named):
    pattern = f"^gram: .*{named}; carried by torch.float32; C kernels$"
    assert re.search(pattern, explain(torch.rand(shape)))


def test_dtype_of_the_matrices_depends_on_the_number_of_steps(monkeypatch):
    class Halves(dispatch.Carrier):
        @classmethod
        def of(cls, x, num_iters):
            return cls(torch.float16 if num_iters == 5 else torch.float32)

    monkeypatch.setattr(dispatch, "Carrier", Halves)
    assert "carried by torch.float16" in explain(X)
    assert "carried by torch.float32" in explain(X, num_iters=8)


def test_reasons_against_both_kinds_of_kernels(monkeypatch):
    both = "no C kernels: .*torch.float64; no Triton kernels: no kernel computes in torch.float64"
    assert re.search(both, explain(X.double()))
    monkeypatch.setenv("GCP_MM_CPU_KERNELS", "0")
    assert "no C kernels: switched off by GCP_MM_CPU_KERNELS=0; no Triton" in explain(X)


def test_interpreter_of_triton_comes_before_the_kernels_in_c(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert explain(X).endswith("; Triton kernels")


def test_few_launches_run_where_they_are_asked_for_and_can(monkeypatch, ran):
    """In the interpreter here, which computes nothing in `explain`."""
    x = torch.rand(2, 13, 12).half()
    monkeypatch.setenv(dispatch.ENVIRONMENT, "gram_fused")
    here = "gram: asked for with GCP_MM_IMPL=gram_fused; but not 'gram_fused': the kernels run on N"
    assert explain(x).startswith(here)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    few = "gram_fused: asked for with .*; N x N matrices for C = 13, N = 12; .*float16; .* 3 .* 4 "
    assert re.search(few, explain(x))
    reasons = {
        "half precision, not for torch.float32": (x.float(), 5),
        "at most 7 steps, not for 8": (x, 8),
        "not for C = 12, N = 13": (x.mT, 5),
        "at most 256, not for C = 300, N = 257": (torch.rand(1, 300, 257).half(), 5),
    }
    for reason, (other, steps) in reasons.items():
        assert "but not 'gram_fused': it is for " in explain(other, num_iters=steps)
        assert reason in explain(other, num_iters=steps)
    assert explain(x, impl="gram").startswith("gram: asked for with impl='gram'")


@pytest.mark.parametrize("impl", ["auto", "gram", "gram_fused"])
def test_plain_operators_while_a_graph_is_exported(ran, impl):
    class Pool(torch.nn.Module):
        def forward(self, x):
            return global_covariance_pool(x, impl=impl)

    torch.jit.trace(Pool(), X, check_trace=False)
    assert ran == ["gram_autograd"]
    program = torch.export.export(Pool(), (X,))
    names = {str(node.target) for node in program.graph.nodes}
    assert not [name for name in names if "gcp_mm" in name]
    torch.testing.assert_close(program.module()(X), global_covariance_pool(X))


@pytest.mark.parametrize("impl", ["fast", "", "Gram"])
def test_unknown_name(monkeypatch, impl):
    with pytest.raises(ValueError, match=f"unknown impl '{impl}'; choose one of 'auto', 'gram'"):
        explain(X, impl)
    monkeypatch.setenv(dispatch.ENVIRONMENT, impl)
    with pytest.raises(ValueError, match=f"unknown GCP_MM_IMPL '{impl}'"):
        global_covariance_pool(X)


@on_every_device
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_vmap_over_any_dimension(normal, dim):
    x = normal(3, 2, 5, 4).movedim(0, dim)
    found = torch.vmap(lambda x: global_covariance_pool(x), in_dims=dim)(x)
    expected = torch.stack([global_covariance_pool(sample) for sample in x.unbind(dim)])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


@on_every_device
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


@on_every_device
@pytest.mark.parametrize("shape", [(1, 4, 3), (2, 3, 5)])
def test_jacobian_by_vmap_over_cotangents(normal, shape):
    x = normal(*shape)
    found = torch.autograd.functional.jacobian(lambda x: gram_pool(x, 5), x, vectorize=True)
    torch.testing.assert_close(found, jacobian(x), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("function", [lambda x: gram_pool(x, 5), global_covariance_pool])
def test_vmap_over_nothing(function):
    assert torch.vmap(function)(torch.zeros(0, 2, 6, 4)).shape == (0, 2, 21)


@on_every_device
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


@pytest.mark.slow
def test_compiled_transforms_of_torch_func(normal):
    def loss(x):
        return global_covariance_pool(x).square().sum()

    x = normal(2, 5, 3)
    compiled = torch.compile(torch.func.grad(loss), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), torch.func.grad(loss)(x), rtol=1e-10, atol=1e-11)
    torch.compiler.reset()


@on_every_device
def test_hessian_vector_product_equals_the_reference(normal):
    x, v, weight = normal(2, 6, 4), normal(2, 6, 4, seed=1), normal(21, seed=2)

    def product(impl):
        def loss(x):
            return (global_covariance_pool(x, impl=impl) ** 2 * weight).sum()

        return torch.autograd.functional.vhp(loss, x, v)[1]

    torch.testing.assert_close(product("gram"), product("reference"), rtol=1e-10, atol=1e-11)
