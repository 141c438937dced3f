"""The exported function."""

import torch

from gcp_mm.export.numeric_check import Logits


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
