"""The passes of few launches against float64 and against the same arithmetic in plain PyTorch.

They run where kernels can: in Triton's interpreter (see test_interpreter.py) or on a GPU. Memory
that nothing was written to is NaN (see conftest.py).
"""

import pytest
import torch

from gcp_mm.ops import explain, global_covariance_pool
from gcp_mm.ops.gram import fused
from gcp_mm.ops.gram.arithmetic import Carrier
from gcp_mm.ops.gram.passes import gram_backward, gram_forward
from gcp_mm.ops.triton_kernels.fallback import interpreting
from gcp_mm.ops.triton_kernels.launch import Tile
from ops.devices import on_every_device

pytestmark = on_every_device


@pytest.fixture(autouse=True)
def kernels_run(device):
    if device.type == "cpu" and not interpreting():
        pytest.skip("without a GPU, kernels run in the interpreter only")


STEPS = 2
"""Where the number does not matter: the interpreter takes a while for each product."""


def pool(x):
    return global_covariance_pool(x, STEPS, impl="gram_fused")


def lift(x, dim, factor):
    first, rest = x.split([1, x.shape[dim] - 1], dim)
    return torch.cat([factor * first, rest], dim)


# Features by name, and the largest errors of value and gradient, as for one product after the other
# in gram/test_arithmetic.py.
HARD = {
    "relu": (lambda x: x.relu(), 1e-3, 1.5e-3),
    "sparse": (lambda x: (x - 2).relu(), 1e-3, 1.5e-3),
    "mean 50": (lambda x: x.relu() + 50, 1e-3, 1.5e-3),
    "small": (lambda x: x.relu() / 64, 1e-3, 1.5e-3),
    "one channel 50 times above": (lambda x: lift(x.relu(), 1, 50), 1e-3, 1.5e-3),
    "one channel 1000 times above": (lambda x: lift(x.relu(), 1, 1000), 1e-3, 3e-3),
    "one position 20 times above": (lambda x: lift(x.relu(), 2, 20), 1e-3, 3e-3),
    "rank one": (lambda x: x[:, :, :1].relu() * x[:, :1].relu(), 3e-3, 3e-3),
}


@pytest.fixture
def errors(draw, pulled_back, device):
    """Errors of value and gradient against float64, those of the plain twins, and the results."""

    def relative(found, expected):
        return ((found.double() - expected).norm() / expected.norm()).item()

    def measure(x, steps=5, dtype=torch.float16, layout=lambda x: x):
        x = x.to(dtype)
        g = draw(len(x), x.shape[1] * (x.shape[1] + 1) // 2, seed=1)
        exact = pulled_back(
            lambda x: global_covariance_pool(x, steps, impl="reference"), x.double(), g
        )
        given = layout(x)
        assert fused.fused_status(given, steps) is None
        found = fused.fused_forward(given, steps), fused.fused_backward(given, g, steps)
        assert found[0].dtype == found[1].dtype == dtype
        assert found[1].stride() == torch.empty_like(given).stride()
        carrier = Carrier(torch.float16)
        x = x.float()
        plain = (
            gram_forward(x, steps, carrier, torch.empty_like(g)).to(dtype),
            gram_backward(g, x, steps, carrier, torch.empty_like(x)).to(dtype),
        )
        ours, theirs = (
            [relative(a, b) for a, b in zip(pair, exact, strict=True)] for pair in (found, plain)
        )
        return ours, theirs, found

    return measure


@pytest.mark.parametrize("case", HARD.values(), ids=HARD)
def test_the_bounds_of_half_precision_are_kept(draw, errors, case):
    make, *bounds = case
    ours, theirs, _ = errors(make(draw(1, 64, 30)))
    assert all(error < bound for error, bound in zip(ours, bounds, strict=True)), ours
    assert all(a < 1.5 * b + 1e-4 for a, b in zip(ours, theirs, strict=True)), (ours, theirs)


# Several samples of one program; several blocks, the last of them cut; hardly anything.
@pytest.mark.parametrize(
    ("shape", "steps"), [((2, 37, 20), 5), ((1, 69, 66), STEPS), ((1, 5, 2), 5)], ids=str
)
def test_odd_sizes(draw, errors, shape, steps):
    ours, theirs, _ = errors(draw(*shape).relu() + 0.1 * draw(*shape, seed=2), steps)
    assert all(error < bound for error, bound in zip(ours, (1e-3, 1.5e-3), strict=True)), ours
    assert all(a < 1.5 * b + 1e-4 for a, b in zip(ours, theirs, strict=True)), (ours, theirs)


@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_number_of_steps(draw, errors, steps):
    ours, _, _ = errors(draw(1, 37, 12).relu(), steps)
    assert all(error < bound for error, bound in zip(ours, (1e-3, 1.5e-3), strict=True)), ours


LAYOUTS = {
    "channels last": lambda x: x.mT.contiguous().mT,
    "scattered": lambda x: torch.stack([x, torch.full_like(x, torch.nan)], -1)[..., 0],
    "cropped": lambda x: torch.cat([x, torch.full_like(x, torch.nan)], -1)[..., : x.shape[2]],
    "batch inside": lambda x: x.movedim(0, 2).contiguous().movedim(2, 0),
}


def test_layouts(draw, errors):
    x = draw(2, 17, 9).relu()
    _, _, expected = errors(x, STEPS)
    for name, layout in LAYOUTS.items():
        _, _, found = errors(x, STEPS, layout=layout)
        assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True)), name


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_bfloat16(draw, errors, factor):
    ours, _, _ = errors(draw(1, 37, 20).relu() * factor, STEPS, dtype=torch.bfloat16)
    assert max(ours) < 5e-3  # its own rounding; the interpreter rounds towards zero


@pytest.mark.parametrize(
    ("to", "factor"),
    [(torch.float16, 2.0**9), (torch.bfloat16, 2.0**100), (torch.float32, 2.0**-90)],
    ids=str,
)
def test_gradients_of_every_size_and_dtype(draw, to, factor):
    """A power of two: the result is the same to the last bit, in features that can hold it."""
    x = draw(1, 17, 9).relu().bfloat16()
    g = draw(1, 153, seed=1).to(to)
    expected = fused.fused_backward(x, g, STEPS) * factor
    assert torch.equal(fused.fused_backward(x, g * factor, STEPS), expected)


def test_samples_without_variance_give_zeros(draw):
    x = torch.stack([torch.zeros(17, 9), torch.full((17, 9), 3.0), draw(17, 9).cpu()]).half()
    x = x.to(draw(1).device)
    g = torch.ones(3, 153, device=x.device)
    vector, gradient = fused.fused_forward(x, STEPS), fused.fused_backward(x, g, STEPS)
    assert not vector[:2].any() and not gradient[:2].any()
    assert vector[2].any() and gradient[2].any()
    assert not fused.fused_backward(x[2:], torch.zeros_like(g[2:]), STEPS).any()


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_what_is_not_finite_stays_in_its_sample(draw, bad):
    x, g = draw(2, 17, 9).relu().half(), draw(2, 153, seed=1)
    wrong = g.clone()
    wrong[0, 3] = bad
    gradient = fused.fused_backward(x, wrong, STEPS)
    assert not gradient[0].isfinite().all() and gradient[1].isfinite().all()
    x[0, 3, 2] = bad
    for part in (fused.fused_forward(x, STEPS), fused.fused_backward(x, g, STEPS)):
        assert part[0].isnan().all() and part[1].isfinite().all()


def test_how_many_programs_share_the_samples_does_not_matter(draw, monkeypatch):
    x, g = draw(2, 17, 9).half(), draw(2, 153, seed=1)

    def both():
        return fused.fused_forward(x, STEPS), fused.fused_backward(x, g, STEPS)

    expected = both()
    monkeypatch.setattr(fused, "num_programs", lambda device: 1)
    assert all(torch.equal(*pair) for pair in zip(both(), expected, strict=True))
    monkeypatch.setattr(fused, "DEVICE_BYTES", 1)  # a launch for each sample
    assert all(torch.equal(*pair) for pair in zip(both(), expected, strict=True))


def test_empty_batch(draw):
    x = draw(0, 17, 9).half()
    assert fused.fused_forward(x, 5).shape == (0, 153)
    assert fused.fused_backward(x, draw(0, 153), 5).shape == (0, 17, 9)


def test_through_the_layer(draw, pulled_back):
    x = draw(1, 17, 3, 3).half()
    assert explain(x, "gram_fused").startswith(
        "gram_fused: asked for with impl='gram_fused'; N x N"
    )
    g = draw(1, 153, seed=1).half()
    found = pulled_back(pool, x, g)
    features = x.flatten(2)
    expected = fused.fused_forward(features, STEPS), fused.fused_backward(features, g, STEPS)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs.view_as(ours))


@pytest.mark.skipif(not interpreting(), reason="the interpreter tells what each access touches")
@pytest.mark.parametrize("barriers", [True, False])
def test_barriers_keep_accesses_apart(draw, monkeypatch, barriers):
    """Three samples of two programs, several blocks; and without barriers that is noticed."""
    from ops.triton_kernels.race_detector import RaceDetector

    monkeypatch.setattr(fused, "tile_for", lambda *args: Tile(16, 16, 1, 2))
    shape = (3, 21, 20) if barriers else (1, 17, 9)
    x, g = draw(*shape).half(), draw(shape[0], shape[1] * (shape[1] + 1) // 2, seed=1)
    detector = RaceDetector(monkeypatch, barriers)
    fused.fused_forward(x, 3)
    fused.fused_backward(x, g, STEPS)
    assert detector.launches == 7 and detector.accesses
    if barriers:
        # After K, after each product, after the sample.
        assert detector.barriers == 3 * (2 + 5) + 3 * (2 + 2)
        assert not detector.found, detector.found[:5]
    else:
        assert any("loads what it stored" in found for found in detector.found)
        assert any("stores to what it loaded" in found for found in detector.found)
