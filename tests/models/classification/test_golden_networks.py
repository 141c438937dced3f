"""Whole classifiers with the original's weights against the numbers that the original gives.

The weights come as the checkpoint that the original scripts save, through the converter.
"""

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample
from torch import nn

# Suffix in the record; tolerance of logits, of the loss, and relative and absolute of gradients.
PRECISIONS = {
    torch.float32: ("", 3e-5, 1e-5, 3e-2, 1e-5),
    torch.float64: ("_f64", 1e-9, 1e-9, 1e-8, 1e-12),
}


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_logits(golden, dtype, worst):
    suffix, tolerance, *_ = PRECISIONS[dtype]
    network = golden.network(dtype).eval()
    with torch.no_grad():
        logits = network(golden.images(dtype, 7, 2, 224), mode="tensor")
    assert logits.dtype == dtype
    assert worst(logits, golden.record["logits" + suffix]) < tolerance


def test_logits_of_the_plain_network(golden, worst):
    with torch.no_grad():
        logits = golden.plain_network().eval()(golden.images(torch.float32, 7, 2, 224))
    assert worst(logits, golden.record["logits"]) < PRECISIONS[torch.float32][1]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_loss_and_every_gradient(golden, dtype):
    suffix, _, of_loss, relative, absolute = PRECISIONS[dtype]
    network = golden.network(dtype).train()
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0
    targets = [DataSample().set_gt_label(label) for label in (1, 3, 5, 7)]
    loss = network(golden.images(dtype, 8, 4, 96), targets, mode="loss")["loss"]
    loss.backward()
    assert loss.item() == pytest.approx(golden.record["loss" + suffix].item(), rel=of_loss)

    norms = {name: p.grad.double().norm().item() for name, p in network.named_parameters()}
    assert norms.keys() == set(golden.parameters)
    found = np.array([norms[name] for name in golden.parameters])
    np.testing.assert_allclose(
        found, golden.record["grad_norm" + suffix], rtol=relative, atol=absolute
    )
