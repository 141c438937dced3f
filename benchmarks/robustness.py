"""Time the evaluation on ImageNet-C and ImageNet-P against a plain loop, on the same files.

Both ways take turns with the same network of random weights, which tell the images apart:
ResNet-18, the smallest that people evaluate, or one that costs nothing, with which only reading and
counting take time. Both have to count the same, otherwise there is no result. The peak memory on
clips is that of a process of its own, at two numbers of clips. Only ratios mean something: the
machine is whatever it is.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import plain_robustness as plain
import torch
from machine import write_report
from networks import LAYERS, Network, make_network, some_images
from peak_memory import peak_memory

from gcp_mm.datasets import ImageNetC, ImageNetP
from gcp_mm.robustness.evaluation.classifier import Classifier
from gcp_mm.robustness.evaluation.evaluate import Evaluation
from gcp_mm.robustness.evaluation.options import Options
from gcp_mm.robustness.evaluation.prepare import Prepared
from gcp_mm.robustness.evaluation.result import ResultFile
from gcp_mm.robustness.names import IS_NOISE, PERTURBATIONS
from gcp_mm.version import __version__

COUNTS = ("correct", "total", "flips", "pairs")


def ours(
    network: Network, dataset: str, root: Path, names: list[str], batch: int, workers: int
) -> dict:
    """Evaluate with the tool's own loader, counters and result file."""
    with tempfile.TemporaryDirectory() as folder:
        tree = (ImageNetC if dataset == "imagenet-c" else ImageNetP)(root, names)
        out, sizes = Path(folder) / "r.json", dict(batch_size=batch, workers=workers)
        options = Options(dataset, root, out, network.name, names, **sizes)
        settings = {"regenerated": True, "num_classes": 1000, "num_samples": None, "shard": None}
        settings["baseline"], settings["difficulty"] = "alexnet", 1
        file = ResultFile(options.out, dataset, network.name, settings)
        classifier = Classifier(deepcopy(network), torch.device("cpu"))
        silence = io.StringIO()
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            Evaluation(Prepared(tree, classifier, None), options, file).run()
    found = {}
    for cell, counts in file.cells.items():
        measures = counts.get("difficulty", {}).get("1")
        if measures:
            flips, pairs = measures["flips"]
            distance = measures["top5_distance"]
            counts = {"flips": flips, "pairs": pairs, "top5_distance": distance}
        found[cell] = counts
    return found


def reference(
    network: Network, dataset: str, root: Path, names: list[str], batch: int, workers: int
) -> dict:
    """Evaluate with the plain loop."""
    model = deepcopy(network)
    if dataset == "imagenet-p":
        clips = max(1, batch // 31)
        return {
            name: plain.measure_clips(model, root / name, IS_NOISE[name], clips, workers)
            for name in names
        }
    tree = ImageNetC(root, names)
    return {
        cell: plain.count_right(model, root / cell, tree.class_to_index, batch, workers)
        for cell in tree.cells
    }


WAYS: dict[str, Callable[..., dict]] = {"gcp_mm": ours, "plain": reference}


def compare(found: dict[str, dict]) -> None:
    """Stop unless both ways counted the same."""
    for cell, expected in found["plain"].items():
        counts = found["gcp_mm"][cell]
        same = all(counts[key] == expected[key] for key in COUNTS if key in expected)
        distance = expected.get("top5_distance", 0.0)
        if not same or not np.isclose(counts.get("top5_distance", 0.0), distance, rtol=1e-9):
            raise SystemExit(f"{cell}: {counts} and {expected} differ, so there is no result")


def time_ways(repetitions: int, files: int, *arguments: object) -> dict:
    """Time both ways in turn and return files per second: median, lowest, highest, and counts.

    The round before those that count pays for imports.
    """
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(repetitions + 1):
        found = {}
        for name, way in WAYS.items():
            start = time.perf_counter()
            found[name] = way(*arguments)
            rates[name].append(files / (time.perf_counter() - start))
        compare(found)
    rates = {name: values[1:] for name, values in rates.items()}
    ratios = [fast / slow for fast, slow in zip(rates["gcp_mm"], rates["plain"], strict=True)]
    return {
        "files": files,
        "files_per_second": {name: _spread(values) for name, values in rates.items()},
        "ratio": _spread(ratios),
        "counts": found["plain"],
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def measure_memory(
    network: Network, source: Path, name: str, numbers: list[int], batch: int
) -> dict:
    """Measure the peak memory of both ways at several numbers of clips, links to those there."""
    clips = sorted((source / name).rglob("*.mp4"))
    peaks: dict[str, dict[str, float]] = {way: {} for way in WAYS}
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            for index in range(number):
                link = Path(folder) / name / "clips" / f"{index:06}.mp4"
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(clips[index % len(clips)].resolve())
            for way, evaluate in WAYS.items():
                peak = peak_memory(evaluate, network, "imagenet-p", Path(folder), [name], batch, 0)
                peaks[way][str(number)] = round(peak, 1)
    return peaks


def main() -> None:
    """Measure, print ratios and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--c", type=Path, metavar="DIR", help="tree like ImageNet-C")
    parser.add_argument("--p", type=Path, metavar="DIR", help="tree like ImageNet-P")
    parser.add_argument("--corruptions", nargs="+", default=["gaussian_noise", "fog", "contrast"])
    parser.add_argument("--perturbations", nargs="+", default=list(PERTURBATIONS))
    parser.add_argument("--memory-clips", nargs="+", type=int, default=[50, 200], metavar="N")
    parser.add_argument("--network", choices=LAYERS, default="resnet18")
    parser.add_argument("--batch-size", type=int, default=128, help="images or frames")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    if not args.c and not args.p:
        parser.error("name a tree: --c DIR, --p DIR, or both")
    torch.set_num_threads(1)
    report: dict = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "torch": torch.__version__,
        "gcp_mm": __version__,
        "network": args.network,
        "batch_size": args.batch_size,
        "workers": args.workers,
        "repetitions": args.repetitions,
    }
    for dataset, root, names, kind in (
        ("imagenet-c", args.c, args.corruptions, "images"),
        ("imagenet-p", args.p, args.perturbations, "clips"),
    ):
        if not root:
            continue
        # The first way would otherwise be the only one that waits for the disk.
        files = [path for name in names for path in (root / name).rglob("*.*") if path.is_file()]
        for path in files:
            path.read_bytes()
        images, labels = some_images([root / name for name in names]), ()
        if dataset == "imagenet-c":
            tree = ImageNetC(root, names)
            labels = {tree.class_to_index[path.parent.name] for path in files}
        network, classes = make_network(args.network, images, labels)
        settings = (network, dataset, root, names, args.batch_size, args.workers)
        found = time_ways(args.repetitions, len(files), *settings)
        report[dataset] = {"cells": names, "predicted_classes": classes, **found}
        for way, rate in found["files_per_second"].items():
            print(f"{dataset}: {way:<7} {rate['median']:8.1f} {kind}/s")
        ratio = found["ratio"]
        print(
            f"{dataset}: {ratio['median']:.2f} times ({ratio['lowest']:.2f}-{ratio['highest']:.2f})"
        )
    if args.p:
        name = args.perturbations[0]
        peaks = measure_memory(network, args.p, name, args.memory_clips, args.batch_size)
        report["peak_memory_mib"] = {"perturbation": name, **peaks}
        for way, by_number in peaks.items():
            print(
                f"peak memory, {way:<7}", *(f"{n} clips {mib} MiB;" for n, mib in by_number.items())
            )
    write_report(report, args.out)


if __name__ == "__main__":
    main()
