"""Result files as an evaluation writes them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gcp_mm.robustness.names import ALL_CORRUPTIONS, PERTURBATIONS, SEVERITIES

SETTINGS = {
    "config": "resnet50",
    "config_sha256": "c0",
    "checkpoint": "resnet50.pth",
    "checkpoint_sha256": "f0",
    "transform": ["decode (pillow)", "require 224 x 224"],
    "listing_sha256": "11",
    "manifest_sha256": None,
    "regenerated": False,
    "num_classes": 1000,
    "num_samples": None,
    "shard": None,
    "dtype": "float32",
    "input_size": 224,
    "baseline": "alexnet",
    "clean_error": None,
    "difficulty": 1,
}
TOTAL = 50_000


def images(errors: dict[str, float], clean: float | None = None) -> dict:
    """Cells of ImageNet-C with the same error at each severity."""
    cells = {
        f"{name}/{severity}": {
            "correct": round(TOTAL * (1 - error)),
            "total": TOTAL,
            "seconds": 1.5,
        }
        for name, error in errors.items()
        for severity in SEVERITIES
    }
    if clean is not None:
        cells["clean"] = {"correct": round(TOTAL * (1 - clean)), "total": TOTAL, "seconds": 1.5}
    return cells


def clips(flip: float, distance: float, names=PERTURBATIONS) -> dict:
    """Cells of ImageNet-P."""
    return {
        name: {
            "clips": 100,
            "frames": 3100,
            "seconds": 2.0,
            "difficulty": {
                "1": {
                    "flips": [round(3000 * flip), 3000],
                    "flip_probability": flip,
                    "top5_distance": distance,
                }
            },
        }
        for name in names
    }


def content_of(dataset: str, settings: dict, cells: dict, **more: object) -> dict:
    """Put the content of a result file together."""
    head = {"format": "gcp_mm robustness", "version": 1, "dataset": dataset, "name": "net"}
    return {**head, "settings": settings, "cells": cells, "metrics": {}, **more}


@pytest.fixture
def result(tmp_path) -> Callable[..., Path]:
    """Write a result file; its measures are computed from the cells and settings."""
    measures = pytest.importorskip("gcp_mm.robustness.evaluation.comparability")

    def write(dataset: str, name: str, cells: dict, **changed: object) -> Path:
        settings = {**SETTINGS, **changed}
        found = measures.MEASURES[dataset](cells, settings)
        more = {"name": name, "versions": {"torch": "2.13.0"}, "metrics": found}
        content = content_of(dataset, settings, cells, **more)
        path = tmp_path / f"{len(list(tmp_path.glob('*.json')))}_{dataset}.json"
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def constant(result) -> Callable[..., Path]:
    """Write a result on ImageNet-C with one error in every cell."""

    def write(name: str, error: float = 0.5, names=ALL_CORRUPTIONS, **changed: object) -> Path:
        return result("imagenet-c", name, images(dict.fromkeys(names, error)), **changed)

    return write
