"""Time the ways to load a training image: decode, RandomResizedCrop(224), flip; in one process.

The ways take turns on the same image with the same random crop, so that their pixels can be
compared with PIL's. Only ratios mean something: the machine is whatever it is.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path

import cv2
import mmcv
import numpy as np
import PIL
from machine import write_report
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS

from gcp_mm.version import __version__

WAYS = {
    "pillow": ("pillow", "pillow"),
    "cv2 decoding": ("cv2", "pillow"),
    "cv2": ("cv2", "cv2"),
}


def pipeline(decode: str, resize: str) -> Compose:
    """Build the training pipeline with a backend for decoding and one for resizing."""
    steps = (
        dict(type="gcp_mm.LoadImage", imdecode_backend=decode),
        dict(type="RandomResizedCrop", scale=224, backend=resize, interpolation="bilinear"),
        dict(type="RandomFlip", prob=0.5, direction="horizontal"),
    )
    return Compose([TRANSFORMS.build(step) for step in steps])


def measure(paths: list[Path], repetitions: int) -> dict:
    """Measure every way on every image.

    Args:
        paths: Images.
        repetitions: Timed rounds over the images.

    Returns:
        By way: median and quartiles of the milliseconds per image, each over the rounds' means,
        and the mean absolute difference of the pixels (0 to 255) from PIL's.
    """
    pipelines = {name: pipeline(*backends) for name, backends in WAYS.items()}
    seconds = {name: [0.0] * repetitions for name in WAYS}
    differences = {name: [] for name in WAYS}
    for repetition in range(repetitions):
        for index, path in enumerate(paths):
            expected = None
            for name, transform in pipelines.items():
                np.random.seed(1000 * repetition + index)
                start = time.perf_counter()
                image = transform({"img_path": str(path)})["img"].astype(np.float32)
                seconds[name][repetition] += time.perf_counter() - start
                expected = image if expected is None else expected
                differences[name].append(float(np.abs(image - expected).mean()))
    results = {}
    for name, sums in seconds.items():
        low, median, high = (1e3 * s / len(paths) for s in statistics.quantiles(sums, n=4))
        results[name] = {
            "median_ms": median,
            "quartiles_ms": [low, high],
            "mean_difference": statistics.mean(differences[name]),
        }
    return results


def main() -> None:
    """Measure, print ratios and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with .jpg or .JPEG images")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    found = (path for path in args.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    paths = sorted(found)[: args.images]
    if not paths:
        parser.error(f"{args.folder} holds no .jpg or .JPEG image")
    # As in a worker process of a data loader.
    cv2.setNumThreads(0)

    results = measure(paths, args.repetitions)
    sizes = np.array([mmcv.imread(str(path)).shape[:2] for path in paths])
    report = {
        "machine": f"{platform.machine()}, 1 thread, CPU",
        "pillow": PIL.__version__,
        "opencv": cv2.__version__,
        "gcp_mm": __version__,
        "images": len(paths),
        "median_height_and_width": np.median(sizes, axis=0).tolist(),
        "repetitions": args.repetitions,
        "ways": results,
    }
    base = results["pillow"]["median_ms"]
    for name, row in results.items():
        print(
            f"{name:<13} {row['median_ms']:6.2f} ms  {base / row['median_ms']:5.2f} x pillow   "
            f"mean difference {row['mean_difference']:.2f} of 255"
        )
    write_report(report, args.out)


if __name__ == "__main__":
    main()
