"""The neck: the layer itself, and the other poolings that its arguments ask for."""

import numpy as np
import pytest
import torch
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.models.classification import GlobalCovariancePooling
from gcp_mm.ops import METHODS
from gcp_mm.ops.plain import reference_global_covariance_pool

ACTIVATIONS = {"ReLU": nn.ReLU, "ReLU6": nn.ReLU6, "GELU": nn.GELU}


def plain_layers(neck, activation):
    """The same reduction from plain PyTorch layers, with the same weights."""
    conv = nn.Conv2d(neck.in_channels, neck.reduced_channels, 1, bias=False)
    layers = nn.Sequential(conv, nn.BatchNorm2d(neck.reduced_channels), activation())
    weights = neck.reduce.state_dict().values()
    layers.load_state_dict(dict(zip(layers.state_dict(), weights, strict=True)))
    return layers.double().train(neck.training)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "arguments", [{}, dict(num_iters=2), dict(impl="reference"), dict(impl="gram", num_iters=7)]
)
def test_equals_plain_layers_and_the_printed_formula(
    randomise, images, worst, arguments, activation, training
):
    neck = GlobalCovariancePooling(24, 16, act_cfg=dict(type=activation), **arguments)
    neck = randomise(neck).double().train(training)
    layers = plain_layers(neck, ACTIVATIONS[activation])
    x = (8 * images(3, 24, 4, 3)).double().requires_grad_()  # large enough for ReLU6 to cut

    (found,) = neck((x,))
    expected = reference_global_covariance_pool(layers(x).flatten(2), arguments.get("num_iters", 5))
    assert worst(found, expected) < 1e-11
    cotangent = images(*expected.shape, seed=2).double()
    gradients = [
        torch.autograd.grad(y, (x, weight), cotangent)
        for y, weight in ((found, neck.reduce.conv.weight), (expected, layers[0].weight))
    ]
    for pair in zip(*gradients, strict=True):
        assert worst(*pair) < 1e-9


def test_last_map_of_a_tuple_is_pooled(images):
    neck = GlobalCovariancePooling(8, 4).eval()
    first, last = images(2, 5, 6, 6), images(2, 8, 3, 3)
    outputs = [neck(inputs) for inputs in ((first, last), [last], last)]
    assert all(type(output) is tuple and len(output) == 1 for output in outputs)
    assert torch.equal(outputs[0][0], outputs[1][0])
    assert torch.equal(outputs[0][0], outputs[2][0])
    assert outputs[0][0].shape == (2, neck.out_channels) == (2, 10)


def test_printed_network_shows_the_widths():
    with torch.device("meta"):
        printed = repr(GlobalCovariancePooling(2048))
    assert "2048 -> 256 -> 32896, num_iters=5" in printed


def test_parameters_are_convolution_without_bias_and_norm():
    shapes = {name: tuple(t.shape) for name, t in GlobalCovariancePooling(8, 4).named_parameters()}
    assert shapes == {
        "reduce.conv.weight": (4, 8, 1, 1),
        "reduce.bn.weight": (4,),
        "reduce.bn.bias": (4,),
    }


def test_start_of_the_weights():
    torch.manual_seed(0)
    neck = GlobalCovariancePooling(512, 256)
    neck.init_weights()
    weight = neck.reduce.conv.weight
    assert weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=1e-3)
    assert (neck.reduce.bn.weight == 1).all() and not neck.reduce.bn.bias.any()


def test_start_of_the_weights_can_be_chosen():
    init_cfg = [
        dict(type="Constant", layer="Conv2d", val=0.25),
        dict(type="Constant", layer="BatchNorm2d", val=0.5, bias=2.0),
    ]
    neck = GlobalCovariancePooling(8, 4, init_cfg=init_cfg)
    neck.init_weights()
    assert [p.unique().tolist() for p in neck.parameters()] == [[0.25], [0.5], [2.0]]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("extra", [0, 1, 2])
def test_tokens_are_pooled_like_the_map_that_they_came_from(
    randomise, images, worst, training, extra
):
    neck = randomise(GlobalCovariancePooling(24, 16, num_extra_tokens=extra)).double()
    neck = neck.train(training)
    x = images(3, 24, 4, 3).double().requires_grad_()
    tokens = x.flatten(2).transpose(1, 2)
    others = images(3, extra, 24, seed=3).double().requires_grad_()
    (found,) = neck((torch.cat([others, tokens], dim=1),))
    (expected,) = neck((x,))
    assert worst(found, expected) < 1e-12
    cotangent = images(*expected.shape, seed=2).double()
    targets = (x, neck.reduce.conv.weight, neck.reduce.bn.bias)
    gradients = [torch.autograd.grad(y, targets, cotangent, True) for y in (found, expected)]
    for pair in zip(*gradients, strict=True):
        torch.testing.assert_close(*pair, rtol=1e-12, atol=1e-12)
    # The class token has no influence on the output, nor on the statistics of the batch norm.
    if extra:
        (gradient,) = torch.autograd.grad(found, others, cotangent)
        assert not gradient.any()


@pytest.mark.parametrize("shape", [(2, 8, 1, 1), (2, 2, 8)])
def test_one_position_has_no_covariance(images, shape):
    neck = GlobalCovariancePooling(8, 4, num_extra_tokens=1).eval()
    assert not neck(images(*shape))[0].any()


CURES = {
    (2, 4, 3, 3): "neck.in_channels",
    (3, 3, 5): "neck.in_channels",
    (2, 8, 9): "transpose the tokens",
    (2, 1, 8): "num_extra_tokens=1 of them leave no position",
    (2, 8): "backbone.gap_before_final_norm=False",
    (8,): "neck.in_channels",
}


@pytest.mark.parametrize("shape", CURES)
def test_error_names_both_shapes_and_the_cure(shape):
    neck = GlobalCovariancePooling(8, 4, num_extra_tokens=1)
    with pytest.raises(UserError) as caught:
        neck(torch.zeros(shape))
    for part in ("in_channels=8", f"{shape}, expected (B, 8, H, W) or (B, L, 8)", CURES[shape]):
        assert part in str(caught.value)


def test_autocast_reduces_in_half_precision_and_pools_in_float32(images, worst):
    neck = GlobalCovariancePooling(8, 4).eval()
    x = images(2, 8, 5, 5)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = neck.reduce(x)
        (found,) = neck(x)
    assert reduced.dtype == found.dtype == torch.bfloat16
    expected = reference_global_covariance_pool(reduced.flatten(2).double(), 5)
    assert worst(found, expected) < 2**-8


def eigen_root(matrix):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag_embed(values.clamp_min(0).sqrt()) @ vectors.mT


def covariance(x):
    x = x - x.mean(dim=-1, keepdim=True)
    return x @ x.mT / x.shape[-1]


def signed_root(z):
    return z.sign() * (z.abs() + 1e-8).sqrt()


def bilinear(x, _):
    return nn.functional.normalize(signed_root((x @ x.mT / x.shape[-1]).flatten(1)))


def gaussian(x, _):
    x = torch.cat([x, x.new_ones(len(x), 1, x.shape[-1])], dim=1)
    return eigen_root(x @ x.mT / x.shape[-1]).flatten(1)


def sketched(x, pool):
    """The Fourier transform of the paper, position by position."""
    tables = pool.vectorization
    sketches = []
    for buckets, signs in zip(tables.buckets, tables.signs, strict=True):
        scattered = x.new_zeros(len(x), tables.dim, x.shape[-1])
        sketches.append(scattered.index_add(1, buckets, x * signs[:, None]))
    first, second = (torch.fft.fft(sketch, dim=1) for sketch in sketches)
    vector = torch.fft.ifft(first * second, dim=1).real.sum(dim=-1)
    return nn.functional.normalize(signed_root(vector))


def first_singular_value(x, pool):
    matrix, right = covariance(x), pool.normalization[0].weight
    left = nn.functional.normalize(matrix @ right, dim=1)
    right = nn.functional.normalize((matrix.mT @ left[..., None])[..., 0], dim=1)
    value = (left[:, None] @ matrix @ right[..., None]).flatten()[:, None, None]
    term = left[..., None] * right[:, None]
    return (value.sqrt() * term + (matrix - value * term) / (value.sqrt() + 1e-5)).flatten(1)


def upper(matrix):
    return matrix[(slice(None), *torch.triu_indices(*matrix.shape[1:]))]


def lower(matrix):
    return matrix[(slice(None), *torch.tril_indices(*matrix.shape[1:]))]


SKETCH = dict(vectorization=dict(type="count_sketch", dim=7))
# What each method computes of features (B, C, N), and the tensors that it has of its own.
FORMULAS = {
    "isqrt_cov": (lambda x, _: reference_global_covariance_pool(x, 5), {}, set()),
    "dropcov": (lambda x, _: upper(covariance(x)), {}, {"channel_dropout.conv.weight"}),
    "mpn_cov": (lambda x, _: lower(eigen_root(covariance(x))), {}, set()),
    "bcnn": (bilinear, {}, set()),
    "g2denet": (gaussian, {}, set()),
    "cbp": (sketched, SKETCH, {"vectorization.buckets", "vectorization.signs"}),
    "svpn": (first_singular_value, {}, {"normalization.0.weight"}),
}
REDUCE = {
    *("reduce.conv.weight", "reduce.bn.weight", "reduce.bn.bias"),
    *("reduce.bn.running_mean", "reduce.bn.running_var", "reduce.bn.num_batches_tracked"),
}


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.mark.parametrize("reduced", [5, None])
def test_method_is_the_published_formula(randomise, images, worst, method, reduced):
    formula, parts, _ = FORMULAS[method]
    channels = 5 if reduced is None else 9
    # Without zeros, five channels at twelve positions have five eigenvalues, whose derivatives
    # autograd knows.
    act_cfg = None if reduced is None else dict(type="GELU")
    neck = GlobalCovariancePooling(channels, reduced, act_cfg=act_cfg, method=method, **parts)
    neck = randomise(neck).double().eval()
    x = images(3, channels, 4, 3).double().abs().requires_grad_()
    (found,) = neck(x)
    expected = formula(neck.reduce(x).flatten(2), neck.pool)
    assert found.shape == (3, neck.out_channels)
    assert worst(found, expected) < 1e-10
    cotangent = images(*expected.shape, seed=2).double()
    gradients = [torch.autograd.grad(y, x, cotangent)[0] for y in (found, expected)]
    # Of a sketch, the transform leaves rounding in small sums, whose root is steep.
    assert worst(*gradients) < (1e-6 if method == "cbp" else 1e-8)


def test_tensors_of_a_method(method):
    _, parts, own = FORMULAS[method]
    neck = GlobalCovariancePooling(8, 4, method=method, **parts)
    assert set(neck.state_dict()) == REDUCE | {f"pool.{name}" for name in own}
    alone = GlobalCovariancePooling(4, None, method=method, **parts)
    assert set(alone.state_dict()) == {f"pool.{name}" for name in own}


@pytest.mark.parametrize("arguments", [{}, dict(method="isqrt_cov")])
def test_the_layer_itself_has_the_tensors_that_it_always_had(arguments):
    neck = GlobalCovariancePooling(8, 4, **arguments)
    assert set(neck.state_dict()) == REDUCE
    assert neck.pool is None


def test_training_reaches_every_weight(images, method):
    torch.manual_seed(0)
    _, parts, _ = FORMULAS[method]
    neck = GlobalCovariancePooling(8, 4, method=method, **parts)
    neck.init_weights()
    x = images(6, 8, 5, 5).requires_grad_()
    (found,) = neck.train()(x)
    found.square().sum().backward()
    for name, parameter in [("x", x), *neck.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # Vectors of length one have a constant square.
        assert parameter.grad.any() or method in ("bcnn", "cbp"), name


def test_only_dropcov_draws_and_only_in_training(randomise, images, method, monkeypatch):
    _, parts, _ = FORMULAS[method]
    neck = randomise(GlobalCovariancePooling(8, 6, method=method, **parts))
    if method == "dropcov":
        monkeypatch.setattr(
            neck.pool.channel_dropout, "rate", lambda weights, features: torch.tensor(0.5)
        )
    x = images(4, 8, 5, 5)
    with torch.no_grad():
        trained = [neck.train()(x)[0] for _ in range(2)]
        evaluated = [neck.eval()(x)[0] for _ in range(2)]
    assert torch.equal(*evaluated)
    assert torch.equal(*trained) == (method != "dropcov")


def test_evaluation_of_dropcov_gives_the_numbers_of_the_original(shared, worst):
    golden = np.load(shared / "golden/family/dropcov_eval_tall.npz")
    x = torch.tensor(golden["x"], requires_grad=True)
    (found,) = GlobalCovariancePooling(x.shape[1], None, method="dropcov").double().eval()(x)
    assert worst(found, golden["output"]) < 1e-12
    (gradient,) = torch.autograd.grad(found, x, torch.tensor(golden["cotangent"]))
    assert worst(gradient, golden["grad_x"]) < 1e-12


def test_parts_take_the_place_of_those_of_a_method(images, worst):
    x = images(2, 6, 4, 4).double()
    power = dict(type="matrix_power", alpha=0.5)
    necks = [
        GlobalCovariancePooling(6, None, method="mpn_cov", vectorization="triangle"),
        GlobalCovariancePooling(6, None, normalization=power),
    ]
    found, expected = (neck.double().eval()(x)[0] for neck in necks)
    assert worst(found, expected) < 1e-12
    (alone,) = GlobalCovariancePooling(6, None, method="dropcov", channel_dropout=False)(x)
    assert worst(alone, upper(covariance(x.flatten(2)))) < 1e-12


def test_steps_of_the_neck_are_those_of_the_parts(images, worst):
    x = images(2, 6, 4, 4).double()
    neck = GlobalCovariancePooling(6, None, num_iters=2, vector_normalization="l2").double()
    expected = nn.functional.normalize(reference_global_covariance_pool(x.flatten(2), 2))
    assert worst(neck(x)[0], expected) < 1e-11


@pytest.mark.parametrize("extra", [0, 1])
def test_tokens_of_a_method_are_positions(images, worst, extra):
    neck = GlobalCovariancePooling(6, None, method="bcnn", num_extra_tokens=extra).double()
    x = images(2, 6, 3, 3).double()
    tokens = torch.cat([images(2, extra, 6).double(), x.flatten(2).mT], dim=1)
    assert worst(neck(tokens)[0], neck(x)[0]) < 1e-12


def test_printed_method_shows_widths_and_parts():
    printed = repr(GlobalCovariancePooling(16, 8, method="mpn_cov"))
    assert "16 -> 8 -> 36" in printed and "num_iters" not in printed
    assert "MatrixPower(alpha=0.5)" in printed and "order='lower_rows'" in printed


MISTAKES = {
    "convolution that is left out": (
        dict(reduced_channels=None, act_cfg=dict(type="ReLU6")),
        "norm_cfg and act_cfg are of",
    ),
    "tokens": (dict(num_extra_tokens=-1), "num_extra_tokens=-1 is no number of tokens"),
    "list of methods": (dict(method=["dropcov"]), "unknown method"),
    "list of representations": (dict(representation=["covariance"]), "unknown representation"),
    "no normalization": (dict(normalization=[]), "a normalization is needed"),
    "method": (dict(method="fast"), "unknown method 'fast'; choose one of 'isqrt_cov', 'dropcov'"),
    "representation": (dict(representation="mean"), "unknown representation 'mean'; choose one of"),
    "normalization": (
        dict(normalization=dict(type="matrix_power", power=2)),
        "normalization 'matrix_power' has no argument 'power'; it takes alpha",
    ),
    "one of several": (dict(normalization=["scaled", "sqrt"]), "unknown normalization 'sqrt'"),
    "vectorization": (
        dict(method="mpn_cov", vectorization=dict(type="triangle", order="columns")),
        "order must be one of 'upper_rows', 'lower_rows', got 'columns'",
    ),
    "vector_normalization": (
        dict(vector_normalization="l1"),
        "unknown vector normalization 'l1'; choose one of 'l2', 'signed_power'",
    ),
    "channel_dropout": (dict(reduced_channels=1, channel_dropout=True), "channels must be an int"),
    "unknown impl": (dict(impl="fast"), "'fast'"),
    "no steps": (dict(num_iters=0), "num_iters must be an integer >= 1, got 0"),
    "impl": (dict(method="bcnn", impl="gram"), "impl='gram' .* beside method='bcnn'"),
    "num_iters": (dict(method="dropcov", num_iters=3), "num_iters=3 has no effect beside method="),
    "num_iters of a part": (
        dict(normalization="newton_schulz", num_iters=3),
        r"num_iters=3 has no effect.*normalization=dict\(type='newton_schulz', num_iters=3\)",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistake_names_the_argument(case):
    arguments, words = MISTAKES[case]
    with pytest.raises(UserError, match=f"neck GlobalCovariancePooling: .*{words}") as caught:
        GlobalCovariancePooling(8, **{"reduced_channels": 4, **arguments})
    assert len(str(caught.value).splitlines()) == 1
