"""The probe against the recorded original, a closed form and the published loop."""

import copy

import numpy as np
import pytest
import torch
from golden_files import load_fill, recorded_weights
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from random_weights import without_start
from shared_folder import NO_SHARED, SHARED
from torch import nn
from torch.nn import functional

import gcp_mm.registry  # noqa: F401  (its models)
from gcp_mm.conversion import model_config
from gcp_mm.conversion.plain_networks import plain_network
from gcp_mm.landscape import probe
from landscape.networks import batch, plain

RECORDS = sorted(SHARED.glob("golden/landscape_*.npz"))
ETAS = [0.1, 2.0, 40.0]
# Suffix in the record; tolerances of the base loss, the losses, and the norms.
PRECISIONS = {torch.float32: ("", 1e-5, 5e-3, 1e-2), torch.float64: ("_f64", 1e-9, 1e-9, 1e-9)}


def networks(conversion, dtype):
    """Yield mmpretrain's network; in float32 also the plain one, in float64 it takes too long."""
    init_default_scope("mmpretrain")
    with without_start():
        network = MODELS.build(model_config(conversion.architecture))
    network.load_state_dict(conversion.state_dict, strict=True)
    yield network.to(dtype)
    if dtype == torch.float32:
        with without_start():
            network = plain_network(conversion.architecture)
        network.load_state_dict(conversion.source, strict=True)
        yield network


@pytest.fixture(
    scope="module",
    params=[pytest.param(path, id=path.stem) for path in RECORDS]
    or [pytest.param(None, marks=pytest.mark.skip(reason=NO_SHARED), id="absent")],
)
def recorded_probe(request, shared):
    """Return what the original measured, and the converted weights of its network."""
    weights = recorded_weights(shared, request.param.stem.removeprefix("landscape_"))
    return np.load(request.param), weights


@pytest.mark.slow
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_the_original_gives_the_same(recorded_probe, dtype, shared):
    suffix, *tolerances = PRECISIONS[dtype]
    record, conversion = recorded_probe
    images = torch.from_numpy(load_fill(shared).images(9, 8, 64))
    for network in networks(conversion, dtype):
        of_torchvision = not hasattr(network, "backbone")
        at = "maxpool" if of_torchvision else None
        # A step knows nothing of the others: all ten are compared once, elsewhere three of them.
        steps = [0, 4, 9] if of_torchvision or dtype == torch.float64 else slice(None)
        found = probe(network, images, torch.arange(8), at=at, etas=record["etas"][steps])
        of_base, of_loss, of_norm = tolerances
        for value, expected, tolerance in (
            (found.loss, record["base_loss" + suffix], of_base),
            (found.losses, record["loss" + suffix][steps], of_loss),
            (found.grad_diffs, record["dy_norm" + suffix][steps], of_norm),
            (found.grad_norm, record["grad_norm" + suffix], of_norm),
        ):
            np.testing.assert_allclose(value, expected, rtol=tolerance)


@pytest.mark.parametrize("direction", ["ascent", "descent"])
def test_quadratic_loss_has_a_closed_form(direction):
    generator = np.random.default_rng(0)
    root, y = generator.normal(size=(8, 8)), generator.normal(size=(2, 4))
    hessian, flat = root @ root.T, y.reshape(8)
    of_torch = torch.from_numpy(hessian)

    def loss(outputs, targets):
        z = outputs.flatten()
        return z @ of_torch @ z / 2

    found = probe(
        nn.Sequential(nn.Identity(), nn.Identity()),
        torch.from_numpy(y),
        torch.zeros(2),
        at="0",
        etas=ETAS,
        direction=direction,
        batch_norm="eval",
        loss=loss,
    )
    g, sign = hessian @ flat, 1 if direction == "ascent" else -1
    norm, change = np.linalg.norm(g), np.linalg.norm(hessian @ g)
    moved = [flat + sign * eta * g for eta in ETAS]
    there = [hessian @ z for z in moved]
    for value, expected in (
        (found.loss, flat @ hessian @ flat / 2),
        (found.grad_norm, norm),
        (found.losses, [z @ hessian @ z / 2 for z in moved]),
        (found.grad_diffs, np.array(ETAS) * change),
        (found.beta, np.full(3, change / norm)),
        (found.cosine, [h @ g / norm / np.linalg.norm(h) for h in there]),
        (found.etas, ETAS),
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-12)


def published_loop(network, images, targets, etas):
    """The procedure of the original: copies in training mode, ``backward`` to all weights."""
    stem, tail = copy.deepcopy(network).train(), copy.deepcopy(network).train()
    tail.dropout.p = 0
    y = stem.stem(images).detach().requires_grad_()
    base = functional.cross_entropy(tail.tail(y), targets)
    base.backward()
    g, losses, norms = y.grad.clone(), [], []
    for eta in etas:
        moved = (y + eta * g).detach().requires_grad_()
        loss = functional.cross_entropy(tail.tail(moved), targets)
        loss.backward()
        losses.append(loss.item())
        norms.append(np.linalg.norm((moved.grad - g).numpy().ravel()))
    return base.item(), losses, norms


@pytest.mark.parametrize("training", [True, False])
def test_the_published_loop_gives_the_same(training):
    images, targets = batch()
    network = plain().train(training)
    base, losses, norms = published_loop(network, images, targets, ETAS)
    found = probe(network, images, targets, at="act", etas=ETAS)
    np.testing.assert_allclose(found.loss, base, rtol=1e-12)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-12)
    np.testing.assert_allclose(found.grad_diffs, norms, rtol=1e-12)
    other = probe(network, images, targets, at="act", etas=ETAS, batch_norm="eval")
    assert abs(other.loss / base - 1) > 1e-2


def test_steps_are_rescaled_with_the_batch():
    images, targets = batch(number=6)
    found = probe(plain(), images, targets, at="act", etas=[2.0, 4.0], rescale=24)
    expected = probe(plain(), images, targets, at="act", etas=[0.5, 1.0])
    assert found.etas.tolist() == [0.5, 1.0]
    assert found.losses.tolist() == expected.losses.tolist()
    assert found.batch_size == 6


def test_images_get_the_type_of_the_network():
    images, targets = batch()
    found = probe(plain().float(), images, targets, at="act", etas=ETAS)
    exact = probe(plain(), images, targets, at="act", etas=ETAS)
    assert found.loss == pytest.approx(exact.loss, rel=1e-5) and found.loss != exact.loss


def test_dead_features_give_finite_numbers():
    network = plain()
    nn.init.zeros_(network.fc.weight)
    found = probe(network, *batch(), at="act", etas=ETAS)
    assert found.grad_norm == 0
    for values in (found.grad_diffs, found.beta, found.cosine):
        assert values.tolist() == [0, 0, 0]
    assert found.losses.tolist() == [found.loss] * 3
