import pytest
import torch
from torch import nn

from gcp_mm.landscape.surface import cosine, filter_normalised_direction


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
