"""The layer where average pooling works: torch.fx, feature extraction, TorchScript."""

import io

import pytest
import torch
from torch import fx, nn
from torchvision.models.feature_extraction import create_feature_extractor

from gcp_mm.ops import (
    GlobalCovariancePool,
    covariance_pool,
    global_covariance_pool,
    newton_schulz_sqrt,
    triu_vec,
)


class Function(nn.Module):
    def forward(self, x):
        return global_covariance_pool(x, 3)


class Parts(nn.Module):
    def forward(self, x):
        return triu_vec(newton_schulz_sqrt(covariance_pool(x), 3))


class Network(nn.Module):
    def __init__(self, pool):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.pool = pool
        self.fc = nn.Linear(21, 4)

    def forward(self, images):
        return self.fc(self.pool(self.conv(images).relu()).flatten(1))


POOLS = [GlobalCovariancePool, lambda: GlobalCovariancePool(2, "reference"), Function, Parts]
POOL_IDS = ["module", "module with settings", "function", "parts"]


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 7, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=POOLS, ids=POOL_IDS)
def network(request):
    return Network(request.param())


def test_symbolic_trace(network, images, pulled_back):
    traced = fx.symbolic_trace(network)
    for shape in (images.shape, (3, 3, 5, 9)):
        x = images.new_ones(shape).cumsum(-1).sin() if shape != images.shape else images
        for found, expected in zip(pulled_back(traced, x), pulled_back(network, x), strict=True):
            assert torch.equal(found, expected)


def test_feature_extraction(network, images):
    extractor = create_feature_extractor(network, {"pool": "vectors", "fc": "logits"})
    found = extractor(images)
    assert torch.equal(found["logits"], network(images))
    assert torch.equal(found["vectors"], network.pool(network.conv(images).relu()))


def test_traced_network_is_refused_what_the_layer_is(network):
    with pytest.raises(ValueError, match="covariance"):
        fx.symbolic_trace(network.pool)(torch.ones(3))


class Marked(torch.Tensor):
    """A tensor of another type, as torchvision and captum have them."""


def test_other_types_of_tensors_keep_theirs(images):
    found = global_covariance_pool(images.as_subclass(Marked))
    assert type(found) is Marked
    assert torch.equal(found.as_subclass(torch.Tensor), global_covariance_pool(images))


def script(module):
    """Compile, and once through a file."""
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    file.seek(0)
    return torch.jit.load(file)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
class TestScript:
    @pytest.mark.parametrize("pool", [GlobalCovariancePool, Function], ids=["module", "function"])
    def test_value_and_gradient(self, pool, images, pulled_back):
        network = Network(pool())
        scripted = script(network)
        # The executor of TorchScript specialises after the first runs.
        for _ in range(3):
            found, expected = pulled_back(scripted, images), pulled_back(network, images)
            assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
    def test_dtype_and_autocast(self, images, dtype):
        pool = GlobalCovariancePool()
        scripted = script(pool)
        x = images.to(dtype)
        assert torch.equal(scripted(x), pool(x))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(scripted(x), pool(x))

    def test_frozen(self, images):
        network = Network(GlobalCovariancePool()).eval()
        frozen = torch.jit.freeze(torch.jit.script(network))
        torch.testing.assert_close(frozen(images), network(images))

    @pytest.mark.parametrize(
        ("arguments", "x", "message"),
        [
            ((5, "reference"), torch.ones(1, 2, 3), "impl='auto' or impl='gram' only"),
            ((5, "auto"), torch.ones(1, 2, 3, dtype=torch.int32), "expects floating-point"),
            ((5, "auto"), torch.ones(2, 3), "expects floating-point features"),
        ],
    )
    def test_refusals(self, arguments, x, message):
        with pytest.raises(torch.jit.Error, match=message):
            script(GlobalCovariancePool(*arguments))(x)
