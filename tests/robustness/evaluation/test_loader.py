"""Which files each process of each shard takes, and what the loader hands over."""

import itertools

import numpy as np
import pytest
from PIL import Image

from gcp_mm.datasets import ImageNetC, ImageNetP
from gcp_mm.engine.config import load_config
from gcp_mm.robustness.data.video_clip import read_clip
from gcp_mm.robustness.evaluation import loader
from gcp_mm.robustness.evaluation.clean import clean_images
from gcp_mm.robustness.evaluation.loader import Part, read_parts, share
from gcp_mm.robustness.evaluation.options import Options
from gcp_mm.robustness.evaluation.result_form import CLEAN
from robustness.conftest import CLASSES, SIZE


def blue_first(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))[:, :, ::-1]


@pytest.mark.parametrize("worlds", [(1, 1), (2, 1), (1, 3), (3, 2), (2, 2, 5), (4,)])
@pytest.mark.parametrize("number", [1, 7, 40])
def test_shards_of_any_number_of_processes_take_each_file_once(monkeypatch, worlds, number):
    taken = []
    for shard, world in enumerate(worlds):
        monkeypatch.setattr(loader, "get_world_size", lambda world=world: world)
        for rank in range(world):
            monkeypatch.setattr(loader, "get_rank", lambda rank=rank: rank)
            taken.append(list(share(number, (shard, len(worlds)))))
    assert sorted(itertools.chain(*taken)) == list(range(number))
    # A shard is the same files for any number of processes, see gcp_mm.robustness.evaluation.merge.
    first = sorted(itertools.chain(*taken[: worlds[0]]))
    assert first == list(range(0, number, len(worlds)))


def test_batches_of_a_part_in_order():
    parts = [Part("a", range(1, 10, 2), 2), Part("b", range(1), 2), Part("c", range(0), 2)]
    assert [part.batches for part in parts] == [
        [range(1, 5, 2), range(5, 9, 2), range(9, 11, 2)],
        [range(1)],
        [],
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_images_come_as_they_were_decoded(tree_c, config, clean, tmp_path, workers):
    tree = ImageNetC(tree_c, ["fog"], [1], CLASSES, input_size=SIZE)
    options = Options("imagenet-c", tree_c, tmp_path / "out.json", "net", clean_root=clean)
    asked = clean_images(load_config(str(config)), options, tree.class_to_index)
    parts = [Part(CLEAN, range(0, 18, 5), 3), Part("fog/1", range(2), 3)]
    found = np.concatenate([*map(np.asarray, read_parts(tree, asked.data, parts, workers))])
    paths = sorted(clean.glob("*/*.png"))[::5] + sorted(tree_c.glob("fog/1/*/*.JPEG"))[:2]
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.stack([blue_first(path) for path in paths]))
    assert asked.labels.tolist() == sorted(list(range(6)) * 3)


@pytest.mark.parametrize(("workers", "room"), [(0, True), (2, True), (2, False)])
def test_cells_follow_each_other(tree_c, monkeypatch, workers, room):
    monkeypatch.setattr("gcp_mm.engine.loader_workers._has_room", lambda size: room)
    tree = ImageNetC(tree_c, ["fog", "snow"], [1, 2, 3, 4, 5], CLASSES, input_size=SIZE)
    parts = [Part(cell, range(18), 2) for cell in tree.cells]
    # All are kept: nothing is written over images that are in use.
    batches = list(read_parts(tree, None, parts, workers))
    assert {images.is_shared() for images in batches} == {workers > 0 and room}
    for index, images in enumerate(batches):
        cell, place = divmod(2 * index, 18)
        expected = [blue_first(tree.path(tree.cells[cell], place + i)) for i in range(2)]
        assert np.array_equal(images.numpy(), np.stack(expected))
    assert sum(map(len, batches)) == 180


@pytest.mark.parametrize(("workers", "room"), [(0, True), (1, True), (1, False)])
def test_clips_of_any_length(tree_p, monkeypatch, workers, room):
    """Also where shared memory has no room: they come through the worker's pipe."""
    monkeypatch.setattr("gcp_mm.engine.loader_workers._has_room", lambda size: room)
    tree = ImageNetP(tree_p, ["tilt"], classes=CLASSES, input_size=SIZE)
    batches = list(read_parts(tree, None, [Part("tilt", range(6), 1)], workers))
    assert {batch.is_shared() for batch in batches} == {workers > 0 and room}
    found = [batch.numpy() for batch in batches]
    clips = [read_clip(path, SIZE) for path in sorted(tree_p.glob("tilt/*/*.mp4"))]
    assert [len(clip) for clip in found] == [4, 5, 6, 4, 5, 6]
    assert all(np.array_equal(*pair) for pair in zip(found, clips, strict=True))


def test_clean_images_of_another_size(tree_c, config, clean, tmp_path):
    tree = ImageNetC(tree_c, ["fog"], [1], CLASSES, input_size=48)
    options = Options("imagenet-c", tree_c, tmp_path / "out.json", "net", clean_root=clean)
    asked = clean_images(load_config(str(config)), options, tree.class_to_index)
    parts = [Part(CLEAN, range(3), 3), Part("fog/1", range(3), 3)]
    first, second = (batch.numpy() for batch in read_parts(tree, asked.data, parts, 0))
    expected = [blue_first(path) for path in sorted(clean.glob("*/*.png"))[:3]]
    assert np.array_equal(first, np.stack(expected)) and first.shape[1] == SIZE
    assert second.shape == (3, 48, 48, 3)


def test_sample_of_clean_images_is_spread_over_the_classes(config, clean, tmp_path):
    tree = {name: index for index, name in enumerate(CLASSES)}
    options = Options(
        "imagenet-c", tmp_path, tmp_path / "out.json", "net", clean_root=clean, num_samples=6
    )
    asked = clean_images(load_config(str(config)), options, tree)
    assert len(asked.data) == 6 and asked.labels.tolist() == [0, 1, 2, 3, 4, 5]
