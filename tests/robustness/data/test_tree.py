"""Which data a tree is: its manifest, its classes and the size of its images."""

import json

import numpy as np
import pytest
from PIL import Image

from gcp_mm.datasets import ImageNetC, ImageNetP
from gcp_mm.errors import UserError
from robustness.conftest import write_clip

WNIDS = ("n01443537", "n01440764")
SETTINGS = {"seed": 0, "size": {"resize": 73, "crop": 64}, "versions": {"numpy": "2.0"}}


def write_manifest(folder, classes, **changed):
    content = {"format": "gcp_mm corruptions", "version": 1, "classes": classes}
    content |= {"images_per_cell": 2, "settings": {**SETTINGS, **changed}}
    (folder / "manifest.json").write_text(json.dumps(content))


@pytest.fixture
def tree(tmp_path):
    """Return a tree with an image of 64 pixels of each of two classes, in groups."""
    for cell in ("weather/fog/1", "blur/zoom_blur/1"):
        for name in WNIDS:
            (tmp_path / cell / name).mkdir(parents=True)
            Image.new("RGB", (64, 64)).save(tmp_path / cell / name / "0.JPEG")
    return tmp_path


def build(root, **options):
    return ImageNetC(root, ("fog", "zoom_blur"), (1,), **{"input_size": 64, **options})


def test_manifest_lies_beside_the_cells(tree):
    for group in ("weather", "blur"):
        write_manifest(tree / group, ["b", *WNIDS])
    found = build(tree)
    settings = found.metainfo["settings"]
    assert settings["regenerated"] and settings["num_classes"] == 3
    assert settings["manifest_sha256"] == build(tree).settings["manifest_sha256"] is not None
    # The manifest has the order of the labels, whatever the folders are called.
    assert found.labels.tolist() == [2, 1] and found.metainfo["classes"] == ("b", *WNIDS)


def test_classes_may_be_a_file_of_any_editor(tree):
    (tree / "classes.txt").write_bytes("\r\n".join(WNIDS).encode("utf-16"))
    found = build(tree, classes=str(tree / "classes.txt"), num_samples=2)
    # The files are in the order of their names.
    assert found.labels.tolist() == [1, 0]


def test_one_tree_with_a_manifest_is_enough(tree):
    write_manifest(tree / "blur", sorted(WNIDS))
    assert build(tree).metainfo["settings"]["regenerated"]


def test_perturbations_one_folder_deeper(tmp_path):
    for name in WNIDS:
        (tmp_path / "made/tilt" / name).mkdir(parents=True)
        (tmp_path / "made/tilt" / name / "0.mp4").touch()
    write_manifest(tmp_path / "made", sorted(WNIDS))
    settings = ImageNetP(tmp_path, "tilt").settings
    assert settings["regenerated"] and settings["num_classes"] == 2


def test_trees_of_other_settings_are_refused(tree):
    write_manifest(tree / "weather", sorted(WNIDS))
    write_manifest(tree / "blur", sorted(WNIDS), seed=1)
    message = "blur/manifest.json.*weather/manifest.json.*seed is 1 there and 0 here"
    with pytest.raises(UserError, match=message):
        build(tree)


def test_given_classes_come_before_the_manifest(tree):
    write_manifest(tree / "blur", sorted(WNIDS))
    assert build(tree, classes=["a", "b", *sorted(WNIDS)]).labels.tolist() == [2, 3]


def test_without_a_manifest_the_classes_are_those_of_imagenet(tree):
    found = build(tree, num_samples=1)
    assert len(found.class_to_index) == found.settings["num_classes"] == 1000
    assert not found.settings["regenerated"] and found.settings["num_samples"] == 1


@pytest.mark.parametrize(("size", "resizes"), [(None, False), (64, False), (32, True)])
@pytest.mark.parametrize("known", [True, False])
def test_resizing_is_told_from_using_as_it_is(tree, size, resizes, known):
    if known:
        write_manifest(tree / "blur", sorted(WNIDS))
    found = build(tree, input_size=size, num_samples=2)
    assert found.resizes == found.metainfo["settings"]["resized"] == resizes


def test_images_of_several_sizes_are_resized(tree):
    Image.new("RGB", (64, 48)).save(tree / "weather/fog/1" / WNIDS[0] / "0.JPEG")
    assert build(tree, num_samples=2).resizes
    write_manifest(tree / "blur", sorted(WNIDS), size=None)
    assert build(tree).resizes


@pytest.mark.parametrize(("side", "resizes"), [(32, False), (48, True)])
@pytest.mark.parametrize("root", ["data", "data:v2,[1]"])
def test_clips_are_looked_at_too(tmp_path, monkeypatch, root, side, resizes):
    monkeypatch.chdir(tmp_path)
    clip = (tmp_path / root / "tilt/n01440764/0.mp4").absolute()
    write_clip(clip, [np.zeros((side, side, 3), np.uint8)] * 3)
    # A folder of such a name is no address.
    assert ImageNetP(root, "tilt", num_samples=1, input_size=32).resizes == resizes
