"""The comparison of an exported function with its network.

The exported function.
"""

import math

import pytest
import torch
from torch import nn

from gcp_mm.export.numeric_check import Difference, Logits, compare, relative_difference, worst


@pytest.mark.parametrize(
    ("found", "expected", "difference"),
    [
        ([[1.0, -4.0]], [[1.0, -4.0]], 0),
        ([[1.0, -3.0]], [[1.5, -4.0]], 0.25),
        ([[1.0]], [[1.0], [1.0]], math.inf),
    ],
)
def test_difference_is_relative_to_the_largest_number(found, expected, difference):
    assert relative_difference(torch.tensor(found), torch.tensor(expected)) == difference


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_number_that_is_not_finite_is_never_close(value):
    tensor = torch.tensor([value, 1.0])
    assert not relative_difference(tensor, tensor) <= 1e9


def test_compare_names_what_went_wrong():
    network = nn.Linear(30, 20)

    def exported(x):
        if len(x) == 2:
            raise RuntimeError("first line\nonly batches of 1")
        return network(x) * 1.25

    found = compare(network, exported, {"one": torch.ones(1, 30), "two": torch.ones(2, 30)})
    assert [(d.images, d.batch) for d in found] == [("one", 1), ("two", 2)]
    assert found[0].exported == pytest.approx(0.25)
    assert 0 < max(d.rounding for d in found) < 1e-6
    assert found[1].exported == math.inf
    assert str(worst(found)).startswith("inf (RuntimeError: only batches of 1) (two; ")


def test_difference_that_is_no_number_is_the_worst():
    values = [1.0, math.nan, 1e9]
    differences = [Difference(str(value), 1, value, 0.0) for value in values]
    assert worst(differences).images == "nan"


def test_long_comparison_shows_how_far_it_is(impatient, capsys):
    network = nn.Linear(30, 20)
    compare(network, network, {"one": torch.ones(1, 30), "two": torch.ones(2, 30)})
    assert "] 2/2, " in capsys.readouterr().err


def test_logits_and_scores(small_network, images):
    network = small_network("resnet50")
    logits = Logits(network)(images(3))
    assert torch.equal(logits, network.eval()(images(3)))
    exponentials = (logits - logits.amax(1, keepdim=True)).exp()
    expected = exponentials / exponentials.sum(1, keepdim=True)
    torch.testing.assert_close(Logits(network, scores=True)(images(3)), expected)
    assert not any(p.requires_grad for p in network.parameters())


def test_normalisation_is_that_of_the_preprocessor(small_network, images):
    network = small_network("resnet50")
    pixels = (40 * images(2) + 128).round().clamp(0, 255)
    prepared = network.data_preprocessor({"inputs": pixels.flip(1)})["inputs"]
    expected = network.eval()(prepared)
    torch.testing.assert_close(Logits(network, normalise=True)(pixels), expected)


def test_network_without_mean_is_not_normalised(small_network, images):
    network = small_network("resnet50")
    del network.data_preprocessor.mean
    logits = Logits(network, normalise=True)
    assert not logits.normalise
    assert torch.equal(logits(images(2)), network(images(2)))
