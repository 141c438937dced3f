"""torchvision's operators under mmcv's names against arrays recorded from compiled mmcv 2.1.0."""

import math

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

pytest.importorskip("mmcv.ops")

from mmcv_ext.operator_cases import (
    DOUBLE,
    GOLDEN,
    HALF,
    MAPS,
    SINGLE,
    _random,
    cases,
    maps_and_regions,
    roi_align,
)

# Largest difference relative to the largest number. RoIAlign and nms are the same arithmetic;
# deformable convolutions are summed up in another order.
BOUNDS = {"roi_align": 0.0, "nms": 0.0, "batched_nms": 0.0, "deform_conv": 1e-6}
DOUBLE_BOUND = 2e-15


@pytest.fixture(scope="module")
def recorded():
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def operators():
    module = pytest.importorskip("mmcv._ext")
    if not module.__file__.endswith("operators.py"):
        pytest.skip("compiled mmcv serves here")
    return module


def differences(name, call, recorded):
    """Yield the difference of each result from the recorded one."""
    results = call()
    assert results.keys() == {key.split("/")[1] for key in recorded if key.startswith(f"{name}/")}
    for key, found in results.items():
        expected = recorded[f"{name}/{key}"]
        found = found.numpy()
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        if found.size:
            expected = expected.astype("f8")
            largest = np.abs(expected).max()
            yield key, np.abs(found.astype("f8") - expected).max() / (largest or 1.0)


@pytest.mark.parametrize("kind", BOUNDS)
def test_equals_compiled_mmcv(kind, operators, recorded):
    tried = 0
    for name, call in cases():
        if name.split("-")[0] != kind or name.endswith("float16"):
            continue
        bound = BOUNDS[kind] and (DOUBLE_BOUND if name.endswith("float64") else BOUNDS[kind])
        for key, difference in differences(name, call, recorded):
            assert difference <= bound, (name, key)
            tried += 1
    assert tried >= 25


def test_half_precision_is_nearer_to_the_truth_than_compiled_mmcv(operators, recorded):
    """mmcv adds up in float16 on a CPU; float64 on the same inputs is the truth."""
    tried = 0
    for name, call in cases():
        if not name.endswith("float16"):
            continue
        sampling, aligned = int(name.split("-")[5]), name.split("-")[6] == "True"
        settings = (MAPS[0], 9, (7, 7), 0.25, sampling, aligned)
        truth = exact_roi_align(*settings)
        found = call()["output"].double()
        compiled = torch.from_numpy(recorded[f"{name}/output"]).double()
        error = (found - truth).abs().max() / truth.abs().max()
        assert error < 1e-3
        assert error <= (compiled - truth).abs().max() / truth.abs().max()
        tried += 1
    assert tried == 4


def exact_roi_align(shape, number, output_size, scale, sampling_ratio, aligned):
    """RoIAlign in float64 of inputs that were rounded to float16."""
    from mmcv.ops import RoIAlign

    features, regions = maps_and_regions(shape, number, scale, HALF)
    layer = RoIAlign(output_size, scale, sampling_ratio, aligned=aligned)
    return layer(features.double(), regions.double())


def test_gradient_of_roi_align_is_that_of_differences(operators):
    """The derivative in a random direction, by central differences in float64."""
    settings = (MAPS[0], 9, (7, 7), 0.25, 2, True, DOUBLE)
    gradient = roi_align(*settings)["features"]
    from mmcv.ops import RoIAlign

    features, regions = maps_and_regions(MAPS[0], 9, 0.25, DOUBLE)
    direction = _random(21, *MAPS[0], dtype=DOUBLE)
    layer = RoIAlign((7, 7), 0.25, 2)
    ahead, behind = (layer(features + sign * 1e-3 * direction, regions) for sign in (1, -1))
    slope = ((ahead - behind) / 2e-3 * _random(2, *ahead.shape, dtype=DOUBLE)).sum()
    assert math.isclose((gradient * direction).sum(), slope, rel_tol=1e-9)


class Spy(TorchDispatchMode):
    """Notes which types of numbers torchvision's operators are given, and on which devices."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.namespace == "torchvision":
            given = {(x.dtype, x.device.type) for x in args if isinstance(x, torch.Tensor)}
            self.seen.setdefault(function.__name__.split(".")[0], set()).update(given)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("kind", [torch.bfloat16, HALF, SINGLE, DOUBLE])
def test_low_precision_is_lifted_on_every_device(kind, device, operators):
    """Its kernels lose whole pixels in float16 on a GPU. None is asked for: shapes are enough."""
    regions = dict(aligned_height=2, aligned_width=2, spatial_scale=1.0, sampling_ratio=2)
    regions |= dict(pool_mode=1, aligned=True)
    geometry = dict.fromkeys(("kW", "kH", "dW", "dH", "dilationW", "dilationH"), 1)
    geometry |= dict(padW=0, padH=0, group=1, deformable_group=1, im2col_step=1)
    lifted = torch.float64 if kind is DOUBLE else torch.float32
    with FakeTensorMode(), Spy() as spy, torch.device(device):

        def tensor(*shape):
            return torch.empty(shape, dtype=kind)

        features, rois, output = tensor(1, 3, 8, 8), tensor(4, 5), tensor(4, 3, 2, 2)
        operators.roi_align_forward(features, rois, output, None, None, **regions)
        operators.roi_align_backward(output, rois, None, None, features, **regions)
        operators.deform_conv_forward(
            *(features, tensor(5, 3, 1, 1), tensor(1, 2, 8, 8), tensor(1, 5, 8, 8), None, None),
            **geometry,
        )
        operators.deform_conv_backward_input(
            *(features, tensor(1, 2, 8, 8), tensor(1, 5, 8, 8), features),
            *(tensor(1, 2, 8, 8), tensor(5, 3, 1, 1), None),
            **geometry,
        )
    assert spy.seen == dict.fromkeys(
        ("roi_align", "_roi_align_backward", "deform_conv2d", "_deform_conv2d_backward"),
        {(lifted, device)},
    )


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.half])
def test_low_precision_trains(kind, operators):
    from mmcv.ops import RoIAlign

    features = torch.full((1, 2, 8, 8), 3.0, dtype=kind, requires_grad=True)
    region = torch.tensor([[0.0, 1.0, 1.0, 6.0, 6.0]], dtype=kind)
    pooled = RoIAlign(2)(features, region)
    pooled.sum().backward()
    assert pooled.dtype == features.grad.dtype == kind
    assert torch.equal(pooled, torch.full_like(pooled, 3.0))
    # Four bins and two channels, each a mean: what went out comes back.
    assert abs(features.grad.sum().item() - 8) < 0.05


def test_boxes_and_scores_of_two_types(operators):
    boxes = torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 7], [20, 20, 28, 28]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    for kinds in ((torch.half, torch.float), (torch.float, torch.half), (torch.bfloat16,) * 2):
        kept = operators.nms(boxes.to(kinds[0]), scores.to(kinds[1]), 0.5, 0)
        assert kept.tolist() == [0, 2]


def test_what_is_not_offered_says_so(operators):
    from mmcv.ops import RoIAlign, roi_pool, soft_nms

    with pytest.raises(NotImplementedError, match=r"'softnms'.*make install MMCV=build"):
        soft_nms(torch.rand(3, 4), torch.rand(3))
    regions = torch.tensor([[0.0, 0, 0, 3, 3]])
    with pytest.raises(NotImplementedError, match=r"'roi_pool_forward'.*MMCV=build"):
        roi_pool(torch.rand(1, 1, 4, 4), regions, 2)
    with pytest.raises(NotImplementedError, match=r"pool_mode='max'.*MMCV=build"):
        RoIAlign(2, pool_mode="max")(torch.rand(1, 1, 4, 4), regions)
    assert not hasattr(operators, "__path__")


def test_report_of_the_environment_names_them(operators):
    torchvision = pytest.importorskip("torchvision")
    collect_env = pytest.importorskip("mmcv.utils").collect_env
    report = collect_env()
    assert report["MMCV Compiler"] == f"none: operators of torchvision {torchvision.__version__}"
