"""Fixtures of the demo data tests."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from demo import write_scenes


def file_hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def load_split(root: Path, split: str) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(root / "annotations" / f"instances_{split}2017.json"))


@pytest.fixture(scope="session")
def hashes() -> Callable[[Path], dict[str, str]]:
    """Hash of every file below a folder, by relative path."""
    return file_hashes


@pytest.fixture(scope="session")
def load() -> Callable[[Path, str], COCO]:
    """Annotations of one split of a scenes folder."""
    return load_split


@pytest.fixture(scope="session")
def scenes_root(tmp_path_factory) -> Path:
    """Scenes of seed 3: 14 for training, 7 for validation."""
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, num_train=14, num_val=7, seed=3)
    return folder
