import pytest
import torch
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.models.classification import GlobalCovariancePooling
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
    gradients = [torch.autograd.grad(y, x, cotangent)[0] for y in (found, expected)]
    assert worst(*gradients) < 1e-9
    gradients = [
        torch.autograd.grad(neck((x,))[0], neck.reduce.conv.weight, cotangent)[0],
        torch.autograd.grad(
            reference_global_covariance_pool(layers(x).flatten(2), arguments.get("num_iters", 5)),
            layers[0].weight,
            cotangent,
        )[0],
    ]
    assert worst(*gradients) < 1e-9


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


def test_tokens_equal_the_printed_formula(randomise, images, worst):
    neck = randomise(GlobalCovariancePooling(12, 6, num_extra_tokens=1)).double().eval()
    tokens = images(2, 9, 12).double()
    linear = tokens[:, 1:] @ neck.reduce.conv.weight.flatten(1).T
    norm = neck.reduce.bn
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    reduced = ((linear - norm.running_mean) * scale + norm.bias).relu()
    expected = reference_global_covariance_pool(reduced.transpose(1, 2), 5)
    assert worst(neck(tokens)[0], expected) < 1e-11


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


@pytest.mark.parametrize(
    ("arguments", "named"), [(dict(num_iters=0), "got 0"), (dict(impl="fast"), "'fast'")]
)
def test_settings_are_checked_when_it_is_built(arguments, named):
    with pytest.raises(ValueError, match=named):
        GlobalCovariancePooling(8, 4, **arguments)


def test_autocast_reduces_in_half_precision_and_pools_in_float32(images, worst):
    neck = GlobalCovariancePooling(8, 4).eval()
    x = images(2, 8, 5, 5)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = neck.reduce(x)
        (found,) = neck(x)
    assert reduced.dtype == found.dtype == torch.bfloat16
    expected = reference_global_covariance_pool(reduced.flatten(2).double(), 5)
    assert worst(found, expected) < 2**-8
