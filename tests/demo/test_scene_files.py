"""The files of the scenes data set: what they depend on, and how they come into being."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo import scenes, write_scenes
from demo.scene import render_scene


def write(root: Path, seed: int = 3, **numbers: int) -> dict:
    return write_scenes(root, **(numbers or {"num_train": 14, "num_val": 7}), seed=seed)


def test_ids_are_unique_across_splits(load, scenes_root):
    train, val = load(scenes_root, "train"), load(scenes_root, "val")
    assert not train.imgs.keys() & val.imgs.keys()
    assert not train.anns.keys() & val.anns.keys()
    for part in (train, val):
        assert len(part.anns) == len(part.dataset["annotations"])


@pytest.mark.slow
def test_equal_arguments_give_equal_bytes(hashes, scenes_root, tmp_path):
    write(tmp_path / "again")
    assert hashes(tmp_path / "again") == hashes(scenes_root)


def test_another_seed_gives_other_images(hashes, scenes_root, tmp_path):
    write(tmp_path / "other", seed=4, num_train=2, num_val=2)
    other, images = hashes(tmp_path / "other"), hashes(scenes_root)
    assert not set(other.values()) & set(images.values())


def test_splits_share_no_image(hashes, scenes_root):
    images = [name for path, name in hashes(scenes_root).items() if path.endswith(".jpg")]
    assert len(set(images)) == 14 + 7


def test_images_do_not_depend_on_their_number(load, hashes, scenes_root, tmp_path):
    write(tmp_path / "few", num_train=2, num_val=3)
    many, few = hashes(scenes_root), hashes(tmp_path / "few")
    images = [path for path in few if path.endswith(".jpg")]
    assert len(images) == 5
    assert all(few[path] == many[path] for path in images)
    for split in ("train", "val"):
        more, fewer = load(scenes_root, split), load(tmp_path / "few", split)
        assert all(more.anns[key] == annotation for key, annotation in fewer.anns.items())


def test_other_arguments_are_refused_by_name(hashes, scenes_root):
    before = hashes(scenes_root)
    with pytest.raises(FileExistsError, match="num_train is 14 there and 13 here") as error:
        write(scenes_root, num_train=13, num_val=7)
    assert str(scenes_root) in str(error.value)
    assert hashes(scenes_root) == before


def test_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(image_size, seed, split, index):
        if split == "val":
            raise KeyboardInterrupt
        return render_scene(image_size, seed, split, index)

    monkeypatch.setattr(scenes, "render_scene", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "scenes", num_train=1, num_val=1)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert write(tmp_path / "scenes", num_train=1, num_val=1)["val"]["images"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]


def test_two_processes_may_write_the_same_folder(tmp_path, monkeypatch):
    def overtaken(*arguments):
        monkeypatch.undo()
        write(tmp_path / "scenes", num_train=1, num_val=1)
        return render_scene(*arguments)

    monkeypatch.setattr(scenes, "render_scene", overtaken)
    counts = write(tmp_path / "scenes", num_train=1, num_val=1)
    assert counts["train"]["images"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]


@pytest.mark.parametrize(
    "arguments",
    [{"num_train": 0}, {"num_val": 0}, {"image_size": (192, 95)}, {"seed": -1}],
)
def test_arguments_out_of_range_are_named(tmp_path, arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=name):
        write_scenes(tmp_path / "scenes", **arguments)
    assert not list(tmp_path.iterdir())
