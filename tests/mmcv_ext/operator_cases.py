"""Calls of mmcv's operators whose results were recorded from compiled mmcv 2.1.0.

Inputs come from NumPy's generator, whose streams do not change. Run as a script with compiled mmcv
it records ``compiled_mmcv.npz`` anew::

    python tests/mmcv_ext/operator_cases.py

The file in the repository was recorded so with mmcv 2.1.0 built from source, torch 2.13.0 (CPU).
"""

import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(__file__).with_name("compiled_mmcv.npz")

HALF, SINGLE, DOUBLE = torch.float16, torch.float32, torch.float64

# Maps of odd sizes, down to one pixel.
MAPS = ((2, 3, 13, 17), (1, 2, 7, 5), (1, 1, 1, 1))


def _random(seed: int, *shape: int, dtype: torch.dtype = SINGLE) -> torch.Tensor:
    numbers = np.random.default_rng(seed).standard_normal(shape)
    return torch.from_numpy(numbers).to(dtype)


def _boxes(seed: int, number: int, size: float, dtype: torch.dtype) -> torch.Tensor:
    """Boxes that reach over the edges; every eighth one has no area."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-0.2 * size, size, (number, 2))
    side = rng.uniform(0, 0.6 * size, (number, 2))
    side[::8] = 0
    return torch.from_numpy(np.hstack([corner, corner + side])).to(dtype)


def _with_gradients(results: dict, output: torch.Tensor, seed: int, **inputs) -> dict:
    """Add an output and the gradients of its inputs by a random cotangent."""
    output.backward(_random(seed, *output.shape, dtype=output.dtype))
    results["output"] = output.detach()
    results.update({name: tensor.grad for name, tensor in inputs.items()})
    return results


def maps_and_regions(shape, number, scale, dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Features, and regions of them behind the index of their image."""
    boxes = _boxes(1, number, max(shape[2:]) / scale, dtype)
    image = torch.arange(number).remainder(shape[0]).to(dtype)
    return _random(0, *shape, dtype=dtype), torch.cat([image[:, None], boxes], 1)


def roi_align(shape, number, output_size, scale, sampling_ratio, aligned, dtype) -> dict:
    """Forward and backward of RoIAlign."""
    from mmcv.ops import RoIAlign

    features, regions = maps_and_regions(shape, number, scale, dtype)
    layer = RoIAlign(output_size, scale, sampling_ratio, aligned=aligned)
    output = layer(features.requires_grad_(), regions)
    return _with_gradients({}, output, 2, features=features)


def nms(number, threshold, offset, score_threshold, max_num, dtype) -> dict:
    """Indices that non-maximum suppression keeps."""
    from mmcv.ops import nms as suppress

    boxes, scores = _boxes(3, number, 100.0, dtype), _random(4, number, dtype=dtype).sigmoid()
    kept, indices = suppress(boxes, scores, threshold, offset, score_threshold, max_num)
    return {"kept": kept, "indices": indices}


def batched_nms(number, classes, threshold, split, agnostic, dtype) -> dict:
    """The same for boxes of many classes at once, in one call or class by class."""
    from mmcv.ops import batched_nms as suppress

    boxes, scores = _boxes(5, number, 100.0, dtype), _random(6, number, dtype=dtype).sigmoid()
    labels = torch.from_numpy(np.random.default_rng(7).integers(0, classes, number))
    settings = dict(type="nms", iou_threshold=threshold, split_thr=split)
    kept, indices = suppress(boxes, scores, labels, settings, class_agnostic=agnostic)
    return {"kept": kept, "indices": indices}


def deform_conv(version, batch, stride, padding, dilation, groups, offset_groups, dtype) -> dict:
    """Forward and backward of a deformable convolution, version 1 or 2."""
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d

    features = _random(8, batch, 4, 9, 11, dtype=dtype).requires_grad_()
    weight = _random(9, 6, 4 // groups, 3, 3, dtype=dtype).requires_grad_()
    height, width = ((n + 2 * padding - 2 * dilation - 1) // stride + 1 for n in (9, 11))
    offset = _random(10, batch, 18 * offset_groups, height, width, dtype=dtype).requires_grad_()
    inputs = dict(features=features, weight=weight, offset=offset)
    geometry = (stride, padding, dilation, groups, offset_groups)
    if version == 1:
        output = deform_conv2d(features, offset, weight, *geometry)
    else:
        mask = _random(11, batch, 9 * offset_groups, height, width, dtype=dtype).sigmoid()
        inputs["mask"] = mask.requires_grad_()
        inputs["bias"] = _random(12, 6, dtype=dtype).requires_grad_()
        output = modulated_deform_conv2d(features, offset, mask, weight, inputs["bias"], *geometry)
    return _with_gradients({}, output, 13, **inputs)


def cases() -> Iterator[tuple[str, Callable[[], dict]]]:
    """Yield a name and a call for each recorded case."""
    settings = {
        roi_align: [
            *product(MAPS, (9,), ((3, 5),), (0.25, 1.0), (0, 2, 3), (True, False), (SINGLE,)),
            *product(MAPS[:1], (9,), ((7, 7),), (0.25,), (0, 2), (True, False), (SINGLE,)),
            *product(MAPS[:1], (9,), ((7, 7),), (0.25,), (0, 2), (True, False), (HALF, DOUBLE)),
            (MAPS[0], 0, (7, 7), 0.25, 0, True, SINGLE),
        ],
        nms: [
            *product((0, 1, 150), (0.1, 0.5, 0.7), (0, 1), (0,), (-1,), (SINGLE,)),
            (150, 0.5, 0, 0.4, -1, SINGLE),
            (150, 0.5, 0, 0.4, 7, SINGLE),
        ],
        batched_nms: [
            *product((150,), (1, 80), (0.5, 0.7), (10000, 50), (False, True), (SINGLE,)),
            (0, 80, 0.5, 10000, True, SINGLE),
        ],
        deform_conv: [
            *product((1, 2), (2,), (1, 2), (1,), (1, 2), (1, 2), (2,), (SINGLE,)),
            (1, 2, 1, 1, 1, 1, 1, DOUBLE),
            (2, 2, 1, 1, 1, 1, 1, DOUBLE),
            (2, 1, 1, 1, 1, 1, 1, SINGLE),
        ],
    }
    for function, calls in settings.items():
        for arguments in calls:
            text = "-".join(str(argument).removeprefix("torch.") for argument in arguments)
            name = f"{function.__name__}-{text}".replace(" ", "")
            yield name, lambda function=function, arguments=arguments: function(*arguments)


def record() -> None:
    """Record what compiled mmcv gives."""
    import mmcv._ext

    if not mmcv._ext.__file__.endswith(".so"):
        sys.exit(f"error: {mmcv._ext.__file__} is not compiled mmcv: make install MMCV=build")
    arrays, refused = {}, []
    for name, call in cases():
        try:
            results = call()
        except RuntimeError as error:
            refused.append(f"{name}: {str(error).splitlines()[0]}")
            continue
        for key, value in results.items():
            arrays[f"{name}/{key}"] = value.numpy()
    np.savez_compressed(GOLDEN, **arrays)
    print(f"{len(arrays)} arrays, {GOLDEN.stat().st_size} bytes; refused by compiled mmcv:")
    print("\n".join(refused) or "none")


if __name__ == "__main__":
    record()
