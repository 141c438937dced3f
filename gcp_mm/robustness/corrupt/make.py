"""Make a tree like ImageNet-C or ImageNet-P from class folders, in parallel."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2

from gcp_mm.engine.distributed import die_with_parent
from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write
from gcp_mm.first_process import warn
from gcp_mm.images.read_image import REMARKS
from gcp_mm.locks import hold_folder
from gcp_mm.robustness.corrupt.cells import JPEG_QUALITY, Cells, CorruptionCell, derive_seed
from gcp_mm.robustness.corrupt.images import (
    MIN_SIDE,
    read_source,
    require_imagecorruptions,
    resized_side,
)
from gcp_mm.robustness.corrupt.sources import (
    SourceImage,
    classes_of,
    digest,
    list_sources,
    unusual_reading,
)
from gcp_mm.robustness.corrupt.video import PARAMS, PRESET, require_encoder
from gcp_mm.robustness.data.manifest import SEAL, Manifest, is_sealed, library_versions, seal

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")


def _check(source: SourceImage, size: int | None, ignore_orientation: bool) -> list[str]:
    """Read an image; return what is to be remarked about it."""
    remarks: list[str] = []
    read_source(source.path, size, ignore_orientation, remarks.append)
    return remarks


def _write(
    source: SourceImage,
    root: Path,
    cells: Cells,
    size: int | None,
    seed: int,
    ignore_orientation: bool,
    seals_images: bool,
) -> int:
    """Write what a tree lacks of an image and return the number of files."""
    files = {cell: root / cell.key / f"{source.name}{cell.suffix}" for cell in cells}
    missing = {cell: path for cell, path in files.items() if not path.exists()}
    if not missing:
        return 0
    image = read_source(source.path, size, ignore_orientation)
    for cell, path in missing.items():
        content = cell.content(image, size, derive_seed(seed, cell.key, source.name))
        # Clips come with theirs.
        if seals_images and isinstance(cell, CorruptionCell):
            content = seal(content)
        atomic_write(path, content)
    return len(missing)


def _initialise_worker() -> None:
    # Else it waits for work for ever after kill -9.
    die_with_parent()
    # The processes are the parallelism.
    cv2.setNumThreads(0)


def _parallel(
    function: Callable[[SourceImage], _Result], sources: Sequence[SourceImage], workers: int
) -> Iterator[_Result]:
    """Yield what a function returns for each image, in their order."""
    if workers == 1:
        yield from map(function, sources)
        return
    with ProcessPoolExecutor(workers, initializer=_initialise_worker) as pool:
        try:
            yield from pool.map(function, sources)
        except BrokenProcessPool as error:
            raise UserError(
                f"a worker process ended, usually for lack of memory: start again with fewer than "
                f"{workers} --workers. What is finished stays"
            ) from error


def _say(sources: Sequence[SourceImage], remarks: Sequence[Sequence[str]]) -> None:
    """Log each kind of remark once, with the first image and their number."""
    for kind, text in REMARKS.items():
        found = [str(s.path) for s, kinds in zip(sources, remarks, strict=True) if kind in kinds]
        if found:
            warn(f"{found[0]!r} {text} ({len(found)} such images)")


def make_corruptions(
    source: str | os.PathLike[str],
    root: str | os.PathLike[str],
    cells: Cells,
    *,
    size: int | None = 224,
    limit: int | None = None,
    seed: int = 0,
    workers: int = 1,
    ignore_orientation: bool = False,
    on_image: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> tuple[int, int]:
    """Make the cells of a tree that are missing.

    Every file has a seed of its own, so that it does not depend on the number of workers or on the
    other cells. Files appear complete or not at all; what exists is kept, so that a run that was
    killed goes on where it was, and further cells can be added. Each has a digest at its end, which
    evaluation checks.

    Args:
        source: Class folders, ``SOURCE/<class>/<image>``.
        root: The tree, ``ROOT/<corruption>/<severity>/<class>/<name>.JPEG`` or
            ``ROOT/<perturbation>/<class>/<name>.mp4``, with ``manifest.json``.
        cells: What to make, all corruptions or all sequences.
        size: The short side is resized to 256 / 224 of it and its square cut out of the centre.
            None keeps every image as it is.
        limit: The first images of each class; None for all.
        seed: Of everything that is random.
        workers: Processes.
        ignore_orientation: Leave photographs as they are stored, whatever their orientation tags
            say, as for published ImageNet numbers.
        on_image: Called with what is done ('reading' for the digest, 'opening' for orientation and
            depth, 'checking' what a new tree is made from, 'writing'), the number of finished
            images and of all, before the first image and after each.

    Returns:
        Number of files that were written and of those that were there already.

    Raises:
        UserError: If a source is unreadable or too small, a package is missing, ``root`` lies in
            ``source``, or another process is at work on it.
        FolderExistsError: If ``root`` holds something else, or a tree of other settings.
    """
    source, root = Path(source).expanduser(), Path(root).expanduser()
    if size is not None and size < MIN_SIDE:
        raise UserError(f"--size {size}: the corruptions need {MIN_SIDE} x {MIN_SIDE} pixels")
    if workers < 1:
        raise UserError(f"--workers {workers}: at least 1 process")
    if root.resolve().is_relative_to(source.resolve()):
        raise UserError(
            f"{str(root)!r} lies in the folder of the images, {str(source)!r}, and would be one of "
            "its classes from then on: choose another folder"
        )
    stills = isinstance(cells[0], CorruptionCell)
    (require_imagecorruptions if stills else require_encoder)()
    sources = list_sources(source, limit)
    dataset = "imagenet-c" if stills else "imagenet-p"

    def report(stage: str, items: Iterable[_Item]) -> Iterator[_Item]:
        on_image(stage, 0, len(sources))
        for done, item in enumerate(items, 1):
            yield item
            on_image(stage, done, len(sources))

    settings = {
        "source_sha256": digest(report("reading", sources)),
        "num_images": len(sources),
        "limit": limit,
        "seed": seed,
        "size": None if size is None else {"resize": resized_side(size), "crop": size},
        **(
            {"jpeg_quality": JPEG_QUALITY}
            if stills
            else {"libx264_preset": PRESET, "libx264_params": PARAMS, "seal": SEAL}
        ),
        "versions": library_versions(dataset),
    }
    if reading := unusual_reading(report("opening", sources), ignore_orientation):
        settings["reading"] = reading
    manifest = Manifest(root, dataset, settings, classes_of(sources))
    if not manifest.path.exists():
        # Before anything is written: a file that is replaced later makes it another source.
        check = partial(_check, size=size, ignore_orientation=ignore_orientation)
        _say(sources, list(report("checking", _parallel(check, sources, workers))))
    with hold_folder(root, "is being written", "wait for it, or choose another folder"):
        # Another process may have begun the tree, or added cells, meanwhile.
        manifest = Manifest(root, dataset, settings, classes_of(sources))
        manifest.save()
        write = partial(
            _write,
            root=root,
            cells=cells,
            size=size,
            seed=seed,
            ignore_orientation=ignore_orientation,
            seals_images=is_sealed(manifest.content),
        )
        written = sum(report("writing", _parallel(write, sources, workers)))
        manifest.save([cell.key for cell in cells])
    return written, len(sources) * len(cells) - written
