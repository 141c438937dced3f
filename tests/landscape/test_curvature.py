import copy
import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from landscape.networks import dense_eigenvalues, make_batches, pooled_network

pytest.importorskip("curvlinops", reason="the extra gcp_mm[landscape] is not installed")

from gcp_mm.errors import UserError
from gcp_mm.landscape.curvature import curvature

# A product with the Hessian costs by the operation: where many are needed, the network is one of
# few. With the pooling layer each column of the matrix is compared, which is such a product.
OPTIONS = dict(top=4, trace_samples=12, lanczos_steps=20, exact_below=0, seed=5)


@pytest.fixture
def batches():
    return make_batches()


@pytest.fixture
def network():
    return pooled_network()


@pytest.fixture
def averaging():
    return pooled_network("mean")


@pytest.fixture(scope="module")
def estimated():
    """Estimate once, from a network in training mode; keep the results after each stage."""
    network, batches, results, snapshots = pooled_network("mean").train(), make_batches(), {}, {}
    network[0].weight.requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    randomness = torch.get_rng_state()

    def on_stage(stage):
        snapshots[stage] = copy.deepcopy(results)

    passes = []
    curvature(
        network,
        batches,
        results=results,
        on_stage=on_stage,
        on_pass=lambda *call: passes.append(call),
        **OPTIONS,
    )
    unchanged_randomness = torch.equal(torch.get_rng_state(), randomness)
    return network, before, unchanged_randomness, results, snapshots, passes


@pytest.mark.parametrize("impl", ["gram", "reference"])
def test_exact_spectrum_equals_dense_differentiation(batches, impl):
    network = pooled_network(impl)
    expected = dense_eigenvalues(network, batches)
    found = curvature(network, batches, top=7)
    assert found["exact"] and found["parameters"] == len(expected) == 63
    assert found["eigenvalues"] == pytest.approx(expected[:7], rel=1e-9)
    assert found["smallest_eigenvalue"] == pytest.approx(expected[-1], rel=1e-9)
    assert found["trace"] == pytest.approx(expected.sum(), rel=1e-9)
    assert found["trace_standard_error"] == 0
    json.dumps(found, allow_nan=False)
    check_density(found, expected)


class WithUnused(nn.Module):
    """An auxiliary head that the logits do not pass, and a frozen weight nobody uses."""

    def __init__(self, network):
        super().__init__()
        self.network, self.auxiliary = network, nn.Linear(3, 2, dtype=torch.float64)
        self.scale = nn.Parameter(torch.ones(4), requires_grad=False)

    def forward(self, x):
        return self.network(x)


@pytest.mark.slow
@pytest.mark.parametrize("exact_below", [1000, 0])
def test_parameters_that_the_loss_does_not_use_are_left_out(averaging, batches, exact_below):
    options = dict(top=1, trace_samples=2, lanczos_steps=2, exact_below=exact_below)
    expected = curvature(copy.deepcopy(averaging), batches[:1], **options)
    model = WithUnused(averaging)
    found = curvature(model, batches[:1], **options)
    assert found.pop("unused") == ["scale", "auxiliary.weight", "auxiliary.bias"]
    assert expected.pop("unused") == []
    assert found == expected
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    assert not flags.pop("scale") and all(flags.values())


def check_density(found, eigenvalues):
    """Its mass is 1 and its mean that of the eigenvalues."""
    grid, density = np.array(found["grid"]), np.array(found["density"])
    extent = eigenvalues[0] - eigenvalues[-1]
    assert len(grid) == 1024 and (density >= 0).all()
    assert grid[0] == pytest.approx(eigenvalues[-1] - 0.05 * extent, rel=1e-3)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=0.05)
    mean = np.trapezoid(density * grid, grid)
    assert mean == pytest.approx(eigenvalues.mean(), abs=0.05 * extent)


@pytest.mark.slow
def test_estimates_agree_with_dense_differentiation(estimated, batches):
    network, _, _, found, *_ = estimated
    expected = dense_eigenvalues(network, batches)
    assert not found["exact"]
    assert found["eigenvalues"] == pytest.approx(expected[:4], rel=1e-3)
    assert found["smallest_eigenvalue"] == pytest.approx(expected[-1], rel=1e-3)
    error = found["trace_standard_error"]
    assert abs(found["trace"] - expected.sum()) < 4 * error
    # The variance of v' H v over random signs v is twice the sum of squares off the diagonal.
    assert 0 < error < 1.5 * np.sqrt(2 * (expected**2).sum() / 12)
    check_density(found, expected)


def test_each_batch_of_each_stage_is_reported(estimated, batches):
    passes = estimated[-1]
    stages = list(dict.fromkeys(stage for stage, _, _ in passes))
    assert stages == ["start", "eigenvalues", "trace", "density"]
    # The products are those that were asked for, and each goes over the two batches.
    for stage, products in (("trace", OPTIONS["trace_samples"]), ("density", 20)):
        total = products * len(batches)
        assert [call[1:] for call in passes if call[0] == stage] == [
            (done, total) for done in range(total + 1)
        ]
    start = [call[1:] for call in passes if call[0] == "start"]
    assert start[0][0] == 0 and start[-1][0] == start[-1][1]
    counts = [call[1:] for call in passes if call[0] == "eigenvalues"]
    assert counts == [(done, None) for done in range(len(counts))] and len(counts) > 20


def test_exact_matrix_is_reported_by_its_columns(network, batches):
    passes = []
    curvature(network, batches, top=1, on_pass=lambda *call: passes.append(call))
    # 63 columns, 32 at once, over two batches; the later stages multiply nothing.
    assert [call for call in passes if call[0] != "start"] == [
        ("eigenvalues", done, 4) for done in range(5)
    ]


def test_softmax_regression_in_closed_form():
    """The Hessian is the mean over images of (diag p - p p') x (x x')."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False)).double()
    inputs, targets = torch.randn(9, 1, 2, 2, dtype=torch.float64), torch.arange(9) % 3
    images = inputs.flatten(1)
    p = network(inputs).softmax(1).detach()
    matrix = sum(
        torch.kron(torch.diag(a) - torch.outer(a, a), torch.outer(x, x)) / 9
        for a, x in zip(p, images, strict=True)
    )
    found = curvature(network, [(inputs, targets)], top=12)
    expected = torch.linalg.eigvalsh(matrix).flip(0)
    assert found["eigenvalues"] == pytest.approx(expected.numpy(), rel=1e-9, abs=1e-12)
    assert found["trace"] == pytest.approx(float(matrix.trace()), rel=1e-12)
    loss = nn.functional.cross_entropy(network(inputs), targets).item()
    assert found["loss"] == pytest.approx(loss, rel=1e-12)


def test_flat_loss_has_a_spectrum_of_zeros():
    """With one class the loss is always 0."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1))
    found = curvature(network, [(torch.randn(3, 2), torch.zeros(3, dtype=int))], top=3)
    assert found["eigenvalues"] == [0, 0, 0] and found["trace"] == 0
    assert np.trapezoid(found["density"], found["grid"]) == pytest.approx(1, abs=0.05)


def test_network_and_randomness_are_left_as_they_were(estimated):
    network, before, unchanged_randomness, *_ = estimated
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(module.training for module in network.modules())
    flags = [parameter.requires_grad for parameter in network.parameters()]
    assert flags == [False, True, True, True, True]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert unchanged_randomness


@pytest.mark.slow
@pytest.mark.parametrize(
    "finished, rest", [("eigenvalues", ["trace", "density"]), ("trace", ["density"])]
)
def test_continued_measurement_equals_an_uninterrupted_one(
    estimated, averaging, batches, finished, rest
):
    _, _, _, expected, snapshots, _ = estimated
    partial, stages = copy.deepcopy(snapshots[finished]), []
    assert not set(rest) & set(partial)
    curvature(averaging, batches, results=partial, on_stage=stages.append, **OPTIONS)
    assert partial == expected and stages == rest


@pytest.mark.slow
def test_seed_draws_other_vectors(estimated, averaging, batches):
    _, _, _, expected, snapshots, _ = estimated
    partial = copy.deepcopy(snapshots["eigenvalues"])
    curvature(averaging, batches, results=partial, **{**OPTIONS, "seed": 6})
    assert partial["trace"] != expected["trace"] and partial["density"] != expected["density"]


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(top=0), "top=0: the network has 63 parameters, choose 1 to 63"),
        (dict(top=64), "top=64"),
        (dict(top=63, exact_below=62), "choose 1 to 62"),
        (dict(trace_samples=1), "trace_samples=1"),
        (dict(lanczos_steps=64, exact_below=0), "lanczos_steps=64 is more than"),
    ],
)
def test_number_out_of_range_is_named(network, batches, options, message):
    with pytest.raises(UserError, match=message):
        curvature(network, batches, **options)


def test_missing_library_is_named_with_its_command(network, batches, monkeypatch):
    monkeypatch.setitem(sys.modules, "curvlinops", None)
    with pytest.raises(UserError, match="pip install curvlinops-for-pytorch"):
        curvature(network, batches)


class Noise(nn.Module):
    """Random in evaluation mode too."""

    def forward(self, inputs):
        return inputs + torch.randn_like(inputs)


def test_random_network_is_refused(network, batches):
    with pytest.raises(UserError, match="two different results.*random in evaluation mode"):
        curvature(nn.Sequential(*network[:3], Noise(), *network[3:]), batches)


def test_diverged_network_is_refused(network, batches):
    nn.init.constant_(network[5].bias, float("nan"))
    with pytest.raises(UserError, match="the loss of the network itself is nan"):
        curvature(network, batches)


class Root(nn.Module):
    """Its second derivative at 0 is not finite."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, dtype=torch.float64))

    def forward(self, inputs):
        logit = (torch.sign(self.weight) * self.weight.abs().pow(1.5)).sum()
        return torch.stack([logit.expand(len(inputs)), torch.zeros(len(inputs))], dim=1)


@pytest.mark.parametrize(("size", "exact_below"), [(1, 1000), (8, 0)])
def test_hessian_that_is_not_finite_is_refused(batches, size, exact_below):
    images, classes = batches[0][0], batches[0][1] % 2
    options = dict(top=1, lanczos_steps=2, exact_below=exact_below)
    with pytest.raises(UserError, match="not finite|not a number"):
        curvature(Root(size), [(images, classes)], **options)
