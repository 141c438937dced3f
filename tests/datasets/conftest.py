"""Real photos, readable and not."""

import shutil
from pathlib import Path

import pytest

TENCH, CHURCH = "n01440764", "n03028079"
# What the file holds, by name; {jpeg} are the bytes of a photo.
BROKEN = {
    "truncated.JPEG": lambda jpeg: jpeg[: len(jpeg) // 2],
    "without_end.JPEG": lambda jpeg: jpeg[:-2],
    "empty.JPEG": lambda jpeg: b"",
    "text.JPEG": lambda jpeg: b"<html>404 Not Found</html>",
}


@pytest.fixture(scope="session")
def photos(shared) -> list[Path]:
    """Four photos of a tench."""
    return sorted((shared / f"data/imagenette96/val/{TENCH}").iterdir())[:4]


@pytest.fixture
def nothing_is_known(monkeypatch):
    """Check each annotation file, as if none had been checked before."""
    from gcp_mm.datasets.coco_annotations import load  # which most tests need not import

    monkeypatch.setattr(load, "_checked", type(load._checked)())


@pytest.fixture
def split(photos, tmp_path) -> Path:
    """Two classes with two photos each."""
    for index, photo in enumerate(photos):
        folder = tmp_path / "val" / (TENCH if index < 2 else CHURCH)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, folder)
    return tmp_path / "val"


@pytest.fixture
def spoil(split, photos):
    """Add files that cannot be read to the second class, and return their paths."""

    def add(*names: str) -> list[str]:
        paths = [split / CHURCH / name for name in names]
        for path in paths:
            path.write_bytes(BROKEN[path.name](photos[0].read_bytes()))
        return [str(path) for path in paths]

    return add
