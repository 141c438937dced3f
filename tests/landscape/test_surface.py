import copy
import json
import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.landscape.surface import (
    Grid,
    cosine,
    filter_normalised_direction,
    losses_as_array,
    make_grid,
    surface,
)


@pytest.fixture
def batches():
    torch.manual_seed(1)
    return [
        (torch.randn(5, 3, 4, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1])),
        (torch.randn(3, 3, 4, 4, dtype=torch.float64), torch.tensor([2, 2, 1])),
    ]


@pytest.fixture
def network():
    """Convolution, batch norm without a floor of the variance, dropout, classifier."""
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4, eps=1e-30),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(16, 3),
    ).double()
    network[1].running_mean.normal_()
    network[1].running_var.uniform_(0.5, 2)
    return network


def test_loss_of_a_linear_model_in_closed_form(batches):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 3)).double()
    grid = Grid((-1.5, 0.0, 0.7), (-0.3, 2.0))
    found = losses_as_array(surface(network, batches, grid, seed=4, include_vectors=True))
    generator = torch.Generator().manual_seed(4)
    centre = {name: weight.detach() for name, weight in network.named_parameters()}
    first, second = (
        filter_normalised_direction(centre.items(), generator, include_vectors=True)
        for _ in range(2)
    )
    images = torch.cat([inputs for inputs, _ in batches]).flatten(1).numpy()
    targets = torch.cat([targets for _, targets in batches]).numpy()
    for i, alpha in enumerate(grid.alphas):
        for j, beta in enumerate(grid.betas):
            weight, bias = (
                (centre[name] + alpha * first[name] + beta * second[name]).numpy()
                for name in ("1.weight", "1.bias")
            )
            logits = images @ weight.T + bias
            losses = logsumexp(logits, axis=1) - logits[np.arange(8), targets]
            assert found[i, j] == pytest.approx(losses.mean(), rel=1e-12)


@pytest.mark.parametrize("batch_norm", ["batch", "eval"])
def test_middle_is_the_loss_of_the_network(network, batches, batch_norm):
    found = surface(network, batches, make_grid(points=3), batch_norm=batch_norm)
    network.eval()
    network[1].train(batch_norm == "batch")
    losses = [
        nn.functional.cross_entropy(network(inputs), targets, reduction="sum")
        for inputs, targets in batches
    ]
    expected = sum(losses).item() / 8
    assert found["loss"] == found["losses"][1][0] == pytest.approx(expected, rel=1e-12)
    assert found["losses"][0][0] != found["loss"] != found["losses"][2][0]


def test_surface_does_not_know_the_scale_of_a_filter_before_a_batch_norm(network, batches):
    rescaled = copy.deepcopy(network)
    with torch.no_grad():
        rescaled[0].weight *= torch.tensor([0.1, 3.0, 20.0, 0.5]).view(4, 1, 1, 1)
    grid = make_grid(points=3, dimensions=2)
    found, expected = (losses_as_array(surface(n, batches, grid)) for n in (rescaled, network))
    assert found == pytest.approx(expected, rel=1e-10)
    assert np.ptp(expected) > 0.01
    # With running statistics it does: they are those of the network before.
    running = losses_as_array(surface(rescaled, batches, grid, batch_norm="eval"))
    assert np.abs(running - expected).max() > 0.01


def test_network_is_left_as_it_was(network, batches):
    network.train()
    before = copy.deepcopy(network.state_dict())
    randomness = torch.get_rng_state()
    surface(network, batches, make_grid(points=2, dimensions=2), include_vectors=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), randomness)


def test_continued_surface_equals_an_uninterrupted_one(network, batches):
    grid = make_grid(points=3, dimensions=2)
    expected = surface(network, batches, grid, seed=7)
    partial, seen = {}, []

    def on_point():
        seen.append(None)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        surface(network, batches, grid, seed=7, results=partial, on_point=on_point)
    restored = json.loads(json.dumps(partial))
    assert sum(loss is not None for row in restored["losses"] for loss in row) == 4
    found = surface(network, batches, grid, seed=7, results=restored, on_point=on_point)
    assert found == expected and len(seen) == 9
    assert surface(network, batches, grid, seed=8)["losses"] != expected["losses"]


class Exponential(nn.Module):
    """Logits overflow where a weight doubles."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 1, dtype=torch.float64))

    def forward(self, inputs):
        return torch.exp(500 * inputs.flatten(1)[:, :1] @ self.weight.T)


def test_loss_that_is_not_finite_is_a_gap():
    images = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.tensor([0])
    found = surface(Exponential(), [images], make_grid(points=3), batch_norm="eval")
    ends = {found["losses"][0][0], found["losses"][2][0]}
    assert ends <= {"nan", "inf"} and found["losses"][1][0] == pytest.approx(math.log(2))
    assert np.isnan(losses_as_array(found)[:, 0]).tolist() == [True, False, True]
    json.dumps(found, allow_nan=False)


def test_point_that_has_not_been_evaluated_is_a_gap():
    losses = losses_as_array({"losses": [[1.5, None], ["inf", "nan"]]})
    assert np.array_equal(losses, [[1.5, np.nan], [np.nan, np.nan]], equal_nan=True)


def test_diverged_network_has_no_surface(network, batches):
    nn.init.constant_(network[5].bias, float("inf"))
    with pytest.raises(UserError, match="the loss of the network itself is nan"):
        surface(network, batches, make_grid(points=2))


@pytest.mark.parametrize("points", [3, 21, 51])
def test_grid_reaches_both_ends_and_the_network(points):
    grid = make_grid(-0.3, 0.3, points, 2)
    assert grid.alphas == grid.betas and len(grid.alphas) == points and grid.dimensions == 2
    assert (grid.alphas[0], grid.alphas[-1]) == (-0.3, 0.3)
    assert grid.alphas[points // 2] == 0
    assert np.diff(grid.alphas) == pytest.approx(0.6 / (points - 1))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(low=1.0, high=-1.0), r"range 1\.0 to -1\.0"),
        (dict(low=0.5, high=0.5), r"range 0\.5 to 0\.5"),
        (dict(high=math.inf), "range -1.0 to inf"),
        (dict(points=1), "1 points, 1 dimensions"),
        (dict(dimensions=3), "51 points, 3 dimensions"),
    ],
)
def test_grid_that_is_none(arguments, message):
    with pytest.raises(UserError, match=message):
        make_grid(**arguments)


def test_unknown_batch_norm_mode(network, batches):
    with pytest.raises(UserError, match="batch_norm='train' is none of"):
        surface(network, batches, make_grid(points=2), batch_norm="train")


@pytest.fixture
def weights():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(5, 2))
    nn.init.normal_(network[1].weight)
    return {name: weight.detach() for name, weight in network.named_parameters()}


def draw(weights, seed=0, **options):
    return filter_normalised_direction(
        weights.items(), torch.Generator().manual_seed(seed), **options
    )


def test_each_filter_is_noise_of_the_norm_of_the_weights(weights):
    direction = draw(weights)
    generator = torch.Generator().manual_seed(0)
    for name, weight in weights.items():
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        for index, row in enumerate(weight):
            expected = torch.zeros(())
            if weight.dim() > 1:
                expected = noise[index] * row.double().norm() / noise[index].norm()
            assert direction[name][index].double().numpy() == pytest.approx(
                expected.numpy(), rel=1e-6
            )
        assert direction[name].dtype == weight.dtype


def test_vectors_move_by_their_own_magnitude_if_asked(weights):
    direction = draw(weights, include_vectors=True)
    vectors = [name for name, weight in weights.items() if weight.dim() == 1]
    assert len(vectors) == 4
    for name in vectors:
        assert torch.allclose(direction[name].abs(), weights[name].abs(), rtol=1e-6)
    signs = torch.cat([direction[name] / weights[name] for name in vectors]).nan_to_num()
    assert {-1, 1} <= set(signs.round().tolist())
    # The others are those without this option.
    assert torch.equal(direction["0.weight"], draw(weights)["0.weight"])


def test_same_seed_gives_the_same_direction_in_each_dtype(weights):
    doubled = {name: weight.double() for name, weight in weights.items()}
    first, second = draw(weights), draw(doubled)
    assert all(torch.equal(first[name], second[name].float()) for name in weights)
    assert not torch.equal(first["0.weight"], draw(weights, seed=1)["0.weight"])


def test_filter_of_zeros_and_single_number_stay_finite():
    weights = {"zeros": torch.zeros(2, 3), "number": torch.tensor(-2.0)}
    direction = draw(weights, include_vectors=True)
    assert torch.equal(direction["zeros"], torch.zeros(2, 3))
    assert float(direction["number"].abs()) == pytest.approx(2)


def test_cosine(weights):
    first, second = draw(weights, seed=0), draw(weights, seed=1)
    flat = [torch.cat([d[name].flatten().double() for name in weights]) for d in (first, second)]
    expected = float(nn.functional.cosine_similarity(*flat, dim=0))
    assert cosine(first, second) == pytest.approx(expected, rel=1e-9)
    assert cosine(first, {name: -3 * d for name, d in first.items()}) == pytest.approx(-1)
