"""Read an annotation file, check it once for all processes, and repair it in memory."""

from __future__ import annotations

import contextlib
import gc
import json
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from mmdet.datasets.api_wrappers import COCO
from mmengine.fileio import get
from torch.utils.data import get_worker_info

from gcp_mm.datasets.coco_annotations.content import inspect_content
from gcp_mm.datasets.coco_annotations.findings import Findings
from gcp_mm.datasets.coco_annotations.image_folder import ImageFolder
from gcp_mm.errors import UserError
from gcp_mm.files import why_absent
from gcp_mm.first_process import on_first_process, warn

# A training reads its file once, a validation twice: for the images and for the measure.
_KEPT = 4
_checked: OrderedDict[tuple, Findings] = OrderedDict()


def load_annotations(
    path: str,
    images: ImageFolder | None = None,
    backend_args: dict | None = None,
    alone: bool = False,
) -> tuple[dict, Findings]:
    """Read a COCO-format file, with everything repaired that can be repaired with certainty.

    The first process checks the content and the others repeat its repairs, unless this one reads
    the file ``alone``. A file that has been checked is not checked again while its size and time
    stay the same. Without ``images``, what another call has found out about them is taken over.
    Problems are not raised yet: see :meth:`Findings.refuse_problems`.
    """
    with without_collector():
        content = _read(path, backend_args)
        key = (*_version(path), images and (images.folder, images.is_turned))
        known = _known(key)

        def inspect() -> tuple[Findings, bool]:
            return known or inspect_content(content, path, images), known is None

        # A worker of a data loader has no part in what the processes do together. Of these, the
        # first one decides: on a network the others may see another time of the file.
        alone = alone or get_worker_info() is not None
        findings, is_new = inspect() if alone else on_first_process(inspect)
        if is_new:
            # What is refused may be another time, after the images were put right.
            if not (findings.problems or findings.missing or findings.unreadable):
                _checked[key] = findings
            while len(_checked) > _KEPT:
                _checked.popitem(last=False)
            for line in findings.summary():
                warn(line)
        findings.apply(content)
    return content, findings


class _Annotations(COCO):
    """mmdet's reader of COCO files, which reads a list of no detections too."""

    def loadRes(self, resFile: str | list) -> COCO:
        # pycocotools looks at the first of them, and mmdet then measures nothing instead of 0.
        if isinstance(resFile, list) and not resFile:
            return coco_api({**self.dataset, "annotations": []})
        return super().loadRes(resFile)


def coco_api(content: dict) -> COCO:
    """Return mmdet's reader of COCO files for content that has been read already."""
    # It prints two lines about its progress.
    with contextlib.redirect_stdout(None):
        api = _Annotations()
        api.dataset = content
        api.createIndex()
    api.img_ann_map, api.cat_img_map = api.imgToAnns, api.catToImgs
    return api


def _known(key: tuple) -> Findings | None:
    """Return what is known of a file; without a folder, best what was found with its images."""
    known = [found for other, found in _checked.items() if other[:-1] == key[:-1] and other[-1]]
    if key[-1] is None and known:
        return known[-1]
    return _checked.get(key)


def _version(path: str) -> tuple:
    """Return what a file is known by: where it is, its size and its time, if it is on a disk."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return (path, None, None)
    return (str(Path(path).resolve()), status.st_size, status.st_mtime_ns)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Keep Python from looking for garbage among millions of new objects; that doubles the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read(path: str, backend_args: dict | None) -> dict:
    try:
        data = get(path, backend_args=backend_args)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"annotation file {path!r} {why_absent(path)} (working folder: {Path.cwd()}): set "
            "ann_file with --cfg-options"
        ) from error
    except IsADirectoryError as error:
        raise UserError(f"{path!r} is a folder, not an annotation file (ann_file)") from error
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path!r} is no annotation file: {_kind(bytes(data[:40])) or f'no JSON ({error})'}. "
            "Name a COCO-format file (ann_file), or copy it again"
        ) from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path!r} is no annotation file in COCO's format: it holds a "
            f"{'list' if isinstance(content, list) else type(content).__name__}, not an object "
            "with images, annotations and categories (detections of a network are such a list)"
        )
    for section in ("images", "annotations", "categories"):
        entries = content.get(section)
        if entries is None and section == "annotations":
            # COCO's own list of test images has none.
            content[section] = []
        elif not isinstance(entries, list):
            found = ", ".join(map(repr, list(content)[:6])) or "nothing"
            raise UserError(
                f"{path!r} is no annotation file in COCO's format: it has no list {section!r} "
                f"(found: {found}). Export it as COCO instances, or name another file (ann_file)"
            )
    return content


def _kind(start: bytes) -> str | None:
    """Say what is often found in place of a JSON file."""
    if not start.strip():
        return "it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS (git lfs pull fetches the file)"
    if start.startswith(b"\x1f\x8b"):
        return "compressed (gunzip it)"
    if start.startswith(b"PK"):
        return "a zip archive (unzip it)"
    if start.lstrip()[:1] == b"<":
        return "a web page or XML"
    return None
