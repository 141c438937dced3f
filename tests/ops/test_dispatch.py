import re

import pytest
import torch

from gcp_mm.ops import dispatch, explain, global_covariance_pool

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


@pytest.mark.parametrize("impl", ["gram", "gram_autograd", "reference"])
def test_argument_comes_before_environment(monkeypatch, ran, impl):
    monkeypatch.setenv(dispatch.ENVIRONMENT, "gram_autograd")
    global_covariance_pool(X, impl=impl)
    assert ran == [impl]
    assert explain(X, impl).startswith(f"{impl}: asked for with impl={impl!r}")


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


@pytest.mark.parametrize("impl", ["auto", "gram"])
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
