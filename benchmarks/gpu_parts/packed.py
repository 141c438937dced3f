"""The bundle of ``gpu_bundle.py``: wheels that are unpacked, and images in two archives.

Where there is no bundle, images are drawn: 10 classes of blots, and the scenes of the demo.
"""

from __future__ import annotations

import compileall
import io
import json
import os
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gpu_parts.settings import REPO

BUNDLE = REPO / "gpu-bundle"
_NEEDED = ("cv2", "scipy", "matplotlib", "mmengine", "mmcv", "mmdet", "mmpretrain", "pycocotools")
_IMAGENETTE, _COCO = "imagenette.zip", "coco.zip"
_CLASSES = {
    "n01440764": "tench",
    "n02102040": "springer",
    "n02979186": "cassette_player",
    "n03000684": "chain_saw",
    "n03028079": "church",
    "n03394916": "french_horn",
    "n03417042": "garbage_truck",
    "n03425413": "gas_pump",
    "n03445777": "golf_ball",
    "n03888257": "parachute",
}


def use_wheels(bundle: Path, folder: Path) -> int:
    """Unpack the wheels of a bundle and put them, and the checkout, where Python looks.

    Also for processes that are started from here. Without a bundle only the checkout is.

    Returns:
        The number of wheels.
    """
    site, wheels = folder / "site", sorted(bundle.glob("wheels/*.whl"))
    for wheel in wheels:
        done = site / f".{wheel.name}"
        if not done.exists():
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
            done.touch()
    if wheels:  # else several processes at once would do it, each for itself
        compileall.compile_dir(site, quiet=2, workers=0)
    # Before what the machine has: the versions of the lock go together.
    paths = [str(path) for path in (REPO, *([site] if wheels else []))]
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    new = [path for path in paths if path not in known]
    os.environ["PYTHONPATH"] = os.pathsep.join([*new, *filter(None, known)])
    sys.path[:0] = [path for path in paths if path not in sys.path]
    return len(wheels)


def missing_for_openmmlab() -> list[str]:
    """Return the modules that parts 4 and 5 need and that are not there."""
    return [name for name in _NEEDED if find_spec(name) is None]


def packed_commit(bundle: Path) -> str | None:
    """Return the commit that a bundle was packed from."""
    file = bundle / "bundle.json"
    return json.loads(file.read_text())["commit"] if file.exists() else None


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # Of a fixed date, so that two bundles of the same images are the same.
    archive.writestr(zipfile.ZipInfo(name), content)


def pack_imagenette(source: Path, bundle: Path, side: int, most: int) -> None:
    """Pack every n-th image of each class, as many as ``most`` bytes hold."""
    files = [path for split in ("train", "val") for path in sorted(source.glob(f"{split}/*/*"))]
    # The images of a class lie one after another, so every n-th is taken of each alike.
    sample = [_jpeg(_small(path, side), 80) for path in files[::100]]
    each = sum(map(len, sample)) / len(sample) + 150  # and its name, twice
    number = min(len(files), int(most / each))
    chosen = [files[index * len(files) // number] for index in range(number)]
    with zipfile.ZipFile(bundle / _IMAGENETTE, "w") as archive:
        for index, path in enumerate(chosen):
            split, wnid = path.parts[-3:-1]
            name = f"{split}/{_CLASSES[wnid]}/{index}.jpg"
            _write(archive, name, _jpeg(_small(path, side), 80))


def _small(path: Path, side: int) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)


def _scaled(annotation: dict[str, Any], factor: float) -> dict[str, Any]:
    """Return a polygon's annotation for a smaller image."""
    return annotation | {
        "bbox": [round(factor * number, 2) for number in annotation["bbox"]],
        "area": round(factor**2 * annotation["area"], 3),
        "segmentation": [
            [round(factor * number, 2) for number in polygon]
            for polygon in annotation["segmentation"]
        ],
    }


def pack_coco(source: Path, bundle: Path, images: int, side: int) -> None:
    """Pack images with objects of COCO, two of three to train on, without crowds."""
    with zipfile.ZipFile(bundle / _COCO, "w", zipfile.ZIP_DEFLATED) as archive:
        for split, number in (("train2017", images * 2 // 3), ("val2017", images // 3)):
            name = f"annotations/instances_{split}.json"
            whole = json.loads((source / name).read_text())
            objects: dict[int, list[dict[str, Any]]] = {}
            for annotation in whole["annotations"]:
                if not annotation["iscrowd"]:
                    objects.setdefault(annotation["image_id"], []).append(annotation)
            shown = [entry for entry in whole["images"] if entry["id"] in objects]
            entries, annotations = [], []
            for entry in (shown[index * len(shown) // number] for index in range(number)):
                factor = side / max(entry["width"], entry["height"])
                size = [round(factor * entry[key]) for key in ("width", "height")]
                with Image.open(source / split / entry["file_name"]) as image:
                    small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
                _write(archive, f"{split}/{entry['file_name']}", _jpeg(small, 85))
                entries.append(entry | {"width": size[0], "height": size[1]})
                annotations += [_scaled(found, factor) for found in objects[entry["id"]]]
            content = whole | {"images": entries, "annotations": annotations}
            archive.writestr(zipfile.ZipInfo(name), json.dumps(content))


def class_folders(bundle: Path, folder: Path, number: int) -> tuple[Path, str]:
    """Unpack images of ten classes, or draw ``number`` of them.

    Returns:
        The folder with ``train`` and ``val``, and where the images are from.
    """
    root, archive = folder / "classes", bundle / _IMAGENETTE
    if archive.exists():
        if not root.exists():
            _unpack(archive, root)
        return root, "packed Imagenette"
    if not root.exists():
        generator = np.random.default_rng(0)
        for index in range(number):
            label = index % 10
            split = "val" if index // 10 % 3 == 2 else "train"
            path = root / split / list(_CLASSES.values())[label] / f"{index}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(20 * label, 20 * label + 70, (3, 3, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((72, 72), Image.Resampling.BICUBIC).save(path)
    return root, "drawn blots"


def detection_images(bundle: Path, folder: Path) -> tuple[Path, str]:
    """Unpack a data set in COCO's layout, or draw scenes of disks, triangles and stars.

    Returns:
        Its folder, and where the images are from.
    """
    root, archive = folder / "coco", bundle / _COCO
    if archive.exists():
        if not root.exists():
            _unpack(archive, root)
        return root, "packed COCO"
    from demo import write_scenes

    write_scenes(root, num_train=4, num_val=2, image_size=(96, 96))
    return root, "drawn scenes"


def _unpack(archive: Path, root: Path) -> None:
    unfinished = root.with_name(f".{root.name}")
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(unfinished)
    unfinished.rename(root)
