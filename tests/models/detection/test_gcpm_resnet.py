import pytest
import torch
import torch.nn.functional as F
from mmdet.models.backbones import ResNet

from gcp_mm.errors import UserError
from gcp_mm.models.detection import GCPMResNet

SIZES = [(64, 64), (67, 33), (63, 95), (50, 71)]


def last_pool(x, kernel):
    """Halve a map, rounding up."""
    if kernel == 3:
        return F.max_pool2d(x, 3, stride=2, padding=1)
    return F.max_pool2d(x, 2, stride=2, ceil_mode=True)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("position", ["before", "after"])
def test_values_and_sizes_of_the_pyramid(
    plain_resnet, with_weights_of, torchvision_resnet, images, worst, position, kernel, size
):
    """C2 to C4 are mmdet's, C5 is torchvision's last stage at stride 1 and a pool."""
    plain = plain_resnet()
    ours = with_weights_of(lambda: GCPMResNet(18, position, kernel), plain)
    stage = with_weights_of(lambda: torchvision_resnet(18, last_stride=1).layer4, plain.layer4)

    x = images(1, 3, *size).double()
    with torch.no_grad():
        found, expected = ours(x), plain(x)
        c4 = expected[2]
        if position == "before":
            c5 = stage(last_pool(c4, kernel))
        else:
            c5 = last_pool(stage(c4), kernel)
    assert [tuple(c.shape) for c in found] == [tuple(c.shape) for c in expected]
    for ours_at, theirs_at in zip(found[:3], expected[:3], strict=True):
        assert torch.equal(ours_at, theirs_at)
    assert worst(found[3], c5) < 1e-12
    assert worst(found[3], expected[3]) > 0.1  # the pool is another function than the stride


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
def test_sizes_are_those_of_a_strided_stage_for_every_kernel(kernel):
    ours, plain = GCPMResNet(18, pool_kernel=kernel), torch.nn.Conv2d(1, 1, 3, 2, 1)
    for length in range(3, 40):
        x = torch.zeros(1, 1, length, length)
        assert ours.last_pool(x).shape == plain(x).shape


@pytest.mark.parametrize("size", [(64, 96), (128, 64)])
def test_strides_are_4_8_16_32(size):
    with torch.no_grad():
        maps = GCPMResNet(18).eval()(torch.zeros(1, 3, *size))
    for stride, found in zip((4, 8, 16, 32), maps, strict=True):
        assert tuple(found.shape[2:]) == (size[0] // stride, size[1] // stride)


def test_bottlenecks(plain_resnet, with_weights_of, torchvision_resnet, images, worst):
    plain = plain_resnet(50)
    ours = with_weights_of(lambda: GCPMResNet(50), plain)
    stage = with_weights_of(lambda: torchvision_resnet(50, last_stride=1).layer4, plain.layer4)
    x = images(1, 3, 33, 49).double()
    with torch.no_grad():
        expected = plain(x)
        found = ours(x)
        c5 = stage(last_pool(expected[2], 3))
    assert [c.shape[1] for c in found] == [256, 512, 1024, 2048]
    assert torch.equal(found[2], expected[2])
    assert worst(found[3], c5) < 1e-12


@pytest.mark.parametrize("depth", [18, 50])
def test_names_are_torchvisions(torchvision_resnet, depth):
    with torch.device("meta"):
        theirs = torchvision_resnet(depth).state_dict()
    ours = GCPMResNet(depth).state_dict()
    expected = {name: t.shape for name, t in theirs.items() if not name.startswith("fc.")}
    assert {name: t.shape for name, t in ours.items()} == expected


@pytest.mark.parametrize("arguments", [dict(deep_stem=True), dict(with_cp=True)], ids=str)
@pytest.mark.filterwarnings("ignore:torch.utils.checkpoint")
def test_options_of_the_base_class(plain_resnet, with_weights_of, images, arguments):
    plain = plain_resnet(18, **arguments)
    ours = with_weights_of(lambda: GCPMResNet(18, **arguments), plain)
    x = images(1, 3, 64, 64).double().requires_grad_()
    for ours_at, theirs_at in zip(ours(x)[:3], plain(x)[:3], strict=True):
        assert torch.equal(ours_at, theirs_at)


def test_chosen_maps(images):
    network = GCPMResNet(18).eval()
    x = images(1, 3, 64, 64)
    with torch.no_grad():
        everything = network(x)
        network.out_indices = (1, 3)
        chosen = network(x)
    assert len(chosen) == 2
    assert torch.equal(chosen[0], everything[1]) and torch.equal(chosen[1], everything[3])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (dict(pool_position="between"), "pool_position .* 'before' or 'after', got 'between'"),
        (dict(pool_kernel=0), "pool_kernel must be a positive integer, got 0"),
        (dict(pool_kernel=2.5), r"got 2\.5"),
        (dict(pool_kernel="3"), "got '3'"),
        (dict(strides=(1, 2, 2)), r"four stages, got num_stages=4 and strides=\(1, 2, 2\)"),
        (dict(num_stages=3), "four stages, got num_stages=3"),
    ],
)
def test_error_names_the_argument(arguments, named):
    with pytest.raises(UserError, match=f"GCPMResNet.*{named}"):
        GCPMResNet(18, **arguments)


def test_switching_modes_returns_the_module():
    network = GCPMResNet(18, frozen_stages=1, norm_eval=True)
    assert network.train().eval().train() is network
    assert network.training and not network.bn1.training and not network.layer4[0].bn1.training
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    plain = ResNet(18, frozen_stages=1)
    assert frozen == {name for name, p in plain.named_parameters() if not p.requires_grad}


def test_every_parameter_gets_a_gradient(images):
    network = GCPMResNet(18)
    sum(c.sum() for c in network(images(2, 3, 64, 64))).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
