import json

import pytest

from gcp_mm.errors import FolderExistsError, UserError
from gcp_mm.robustness.data.manifest import Manifest, library_versions, read_manifest

WHOLE = {
    **{"format": "gcp_mm corruptions", "version": 1, "settings": {}},
    **{"classes": ["cat"], "images_per_cell": 4},
}
SETTINGS = {"source_sha256": "ab", "num_images": 4, "seed": 0, "versions": {"numpy": "2.0"}}


def manifest(root, dataset="imagenet-c", **changed):
    return Manifest(root, dataset, {**SETTINGS, **changed}, ["cat", "dog"])


def test_it_says_what_is_finished(tmp_path):
    manifest(tmp_path / "tree").save()
    assert read_manifest(tmp_path / "tree")["cells"] == {}
    manifest(tmp_path / "tree").save(["fog/1", "fog/2"])
    manifest(tmp_path / "tree").save(["snow/2"])
    found = read_manifest(tmp_path / "tree")
    assert found["cells"] == {"fog/1": 4, "fog/2": 4, "snow/2": 4}
    assert found["corruptions"] == ["fog", "snow"] and found["severities"] == [1, 2]
    assert found["classes"] == ["cat", "dog"] and found["images_per_cell"] == 4
    assert found["settings"] == SETTINGS


def test_sequences_have_no_severities(tmp_path):
    manifest(tmp_path, "imagenet-p").save(["tilt"])
    found = read_manifest(tmp_path)
    assert found["perturbations"] == ["tilt"] and "severities" not in found


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"source_sha256": "cd"}, "source_sha256 is 'ab' there and 'cd' here"),
        ({"versions": {"numpy": "2.1"}}, "numpy is '2.0' there and '2.1' here"),
        ({"dataset": "imagenet-p"}, "dataset is 'imagenet-c' there and 'imagenet-p' here"),
    ],
)
def test_other_settings_are_refused(tmp_path, changed, message):
    manifest(tmp_path).save(["fog/1"])
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(FolderExistsError, match=message):
        manifest(tmp_path, **changed)
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "other.txt").touch()
    with pytest.raises(FolderExistsError, match=r"has no manifest\.json"):
        manifest(tmp_path)
    with pytest.raises(FolderExistsError, match=r"other\.txt' exists"):
        manifest(tmp_path / "other.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON file"),
        ("[" * 100_000, "no JSON file .RecursionError"),
        ("[]", "it is a list of 0, not an object"),
        (json.dumps({"request": {}}), "it lacks 'format'"),
        (json.dumps({**WHOLE, "version": 2}), "version is 2, not 1"),
        (json.dumps({**WHOLE, "classes": None}), "classes is None, not a list"),
        (json.dumps({**WHOLE, "images_per_cell": "4"}), "images_per_cell is '4', not"),
        (json.dumps({**WHOLE, "settings": {"size": {}}}), "settings/size lacks 'crop'"),
    ],
)
def test_what_is_no_manifest_is_named(tmp_path, text, message):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=rf"manifest\.json' is no manifest of .*: {message}.*away"):
        read_manifest(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    root = tmp_path / "file" / "tree"
    found = manifest(root)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"manifest\.json' cannot be written"):
        found.save()


@pytest.mark.parametrize("dataset", ["imagenet-c", "imagenet-p"])
def test_versions_are_known(dataset):
    versions = library_versions(dataset)
    assert "opencv" in versions and all(version[0].isdigit() for version in versions.values())
