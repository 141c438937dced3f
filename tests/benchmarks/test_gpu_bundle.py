"""What is packed for a bare machine: the pins of the lock, and smaller images."""

import json

import pytest
from PIL import Image

LOCK = """
numpy==2.2.6 ; python_full_version < '3.11' \\
    --hash=sha256:aa
numpy==2.4.6 ; python_full_version >= '3.11' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via something
six==1.17.0 \\
    --hash=sha256:dd
torch==2.13.0
"""


@pytest.fixture
def bundle():
    import gpu_bundle

    return gpu_bundle


def test_requirements_are_the_pins_for_a_version_of_python(bundle):
    text = bundle.requirements(LOCK, ("numpy", "torch"), "3.12")
    assert [line.strip().rstrip(" \\") for line in text.splitlines()] == [
        "numpy==2.4.6",
        "--hash=sha256:bb",
        "--hash=sha256:cc",
        "# via something",
        "torch==2.13.0",
    ]


def test_every_package_is_in_the_lock(bundle, repo):
    text = (repo / "requirements/lock.txt").read_text()
    lines = bundle.requirements(text, bundle.PACKAGES, "3.12").splitlines()
    pins = [line.partition("==")[0] for line in lines if line[:1].isalnum()]
    assert sorted(pins) == sorted(bundle.PACKAGES)
    with pytest.raises(SystemExit, match="has no no-such-package"):
        bundle.requirements(text, ("no-such-package",), "3.12")


@pytest.fixture
def coco(tmp_path):
    """Three images a split; the first has a crowd alone."""
    root = tmp_path / "coco"
    square = [[10, 10, 50, 10, 50, 30, 10, 30]]
    for split in ("train2017", "val2017"):
        (root / split).mkdir(parents=True)
        images, annotations = [], []
        for number in range(3):
            name = f"{number}.jpg"
            Image.new("RGB", (100, 50), (80 * number,) * 3).save(root / split / name)
            images.append(dict(id=number, file_name=name, width=100, height=50))
            annotations.append(
                dict(
                    **dict(id=number, image_id=number, category_id=1, iscrowd=int(number == 0)),
                    **dict(bbox=[10, 10, 40, 20], area=800, segmentation=square),
                )
            )
        content = dict(images=images, annotations=annotations, categories=[dict(id=1, name="a")])
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    return root


def test_objects_shrink_with_their_images(coco, tmp_path):
    from gpu_parts.packed import detection_images, pack_coco

    pack_coco(coco, tmp_path, images=3, side=20)
    root, note = detection_images(tmp_path, tmp_path / "unpacked")
    assert note == "packed COCO"
    found = json.loads((root / "annotations/instances_train2017.json").read_text())
    assert [(entry["id"], entry["width"], entry["height"]) for entry in found["images"]] == [
        (1, 20, 10),
        (2, 20, 10),
    ]
    assert [entry["image_id"] for entry in found["annotations"]] == [1, 2]
    first = found["annotations"][0]
    assert (first["bbox"], first["area"]) == ([2, 2, 8, 4], 32)
    assert first["segmentation"] == [[2, 2, 10, 2, 10, 6, 2, 6]]
    with Image.open(root / "train2017/1.jpg") as image:
        assert image.size == (20, 10)


def test_as_many_images_as_the_bytes_hold(tmp_path):
    from gpu_parts.packed import class_folders, pack_imagenette

    source = tmp_path / "source"
    for split, wnid in (("train", "n01440764"), ("train", "n02102040"), ("val", "n02102040")):
        (source / split / wnid).mkdir(parents=True)
        for index in range(10):
            Image.new("RGB", (96, 96), (25 * index,) * 3).save(
                source / split / wnid / f"{index}.JPEG"
            )
    pack_imagenette(source, tmp_path, 72, 10**9)
    whole = (tmp_path / "imagenette.zip").stat().st_size
    pack_imagenette(source, tmp_path, 72, whole // 3)
    assert (tmp_path / "imagenette.zip").stat().st_size < 1.1 * whole / 3
    root, note = class_folders(tmp_path, tmp_path / "unpacked", 0)
    assert note == "packed Imagenette"
    folders = {str(path.relative_to(root)) for path in root.glob("*/*")}
    assert folders == {"train/tench", "train/springer", "val/springer"}
    with Image.open(next(root.rglob("*.jpg"))) as image:
        assert image.size == (72, 72)


def test_images_are_drawn_where_none_are_packed(tmp_path):
    from gpu_parts.packed import class_folders

    root, note = class_folders(tmp_path, tmp_path / "drawn", 30)
    assert note == "drawn blots"
    assert [len(list(root.glob(f"{split}/*/*.jpg"))) for split in ("train", "val")] == [20, 10]
    assert len(list(root.glob("train/*"))) == len(list(root.glob("val/*"))) == 10
