"""Evaluations against a plain loop, their measures, and what they may not state."""

import json
import shutil

import numpy as np
import pytest

from gcp_mm.engine.config import load_config
from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.evaluate import evaluate
from gcp_mm.robustness.evaluation.options import Options
from gcp_mm.robustness.evaluation.result import read_result
from gcp_mm.robustness.evaluation.top5_file import read_top5, top5_path
from gcp_mm.robustness.measures import flip_probability, top5_distance
from gcp_mm.robustness.names import IS_NOISE, PERTURBATIONS
from robustness.conftest import CLASSES, SIZE, write_clip
from robustness.plain_loop import count_right, top5_of_clips


@pytest.fixture
def measure(config, checkpoint, tmp_path):
    def run(dataset, root, out="result.json", **options):
        common = dict(input_size=SIZE, batch_size=8, workers=0, name="small", device="cpu")
        asked = Options(dataset, root, tmp_path / out, **{**common, **options})
        content = evaluate(load_config(str(config)), checkpoint, asked)
        assert content == read_result(asked.out)
        return content

    return run


@pytest.mark.slow
def test_counts_are_those_of_a_plain_loop(measure, network, tree_c, clean):
    names = ("fog", "snow")
    content = measure("imagenet-c", tree_c, names=names, severities=(2, 5), clean_root=clean)
    expected = {
        f"{name}/{severity}": count_right(network, tree_c / name / str(severity), CLASSES)
        for name in names
        for severity in (2, 5)
    }
    expected["clean"] = count_right(network, clean, CLASSES)
    found = {
        key: {name: cell[name] for name in ("correct", "total")}
        for key, cell in content["cells"].items()
    }
    assert found == expected
    assert len({cell["correct"] for cell in found.values()}) > 1
    assert content["metrics"]["clean_error"] == 1 - expected["clean"]["correct"] / 18


@pytest.mark.parametrize("workers", [0, 2])
def test_top5_is_that_of_a_plain_loop(measure, network, tree_p, tmp_path, workers):
    names = ("shot_noise", "tilt")
    content = measure("imagenet-p", tree_p, names=names, batch_size=7, workers=workers)
    for name in names:
        clips = top5_of_clips(network, tree_p / name)
        kept = read_top5(top5_path(tmp_path / "result.json", name))
        assert kept.classes.dtype == np.int16
        assert np.array_equal(np.concatenate(clips), kept.classes)
        cell = content["cells"][name]
        assert (cell["clips"], cell["frames"]) == (6, sum(map(len, clips)))
        for difficulty in (1,) if IS_NOISE[name] else (1, 2, 3):
            arguments = [(clip[None], IS_NOISE[name], difficulty) for clip in clips]
            found = cell["difficulty"][str(difficulty)]
            expected = np.mean([flip_probability(*each) for each in arguments])
            assert 0 < expected == pytest.approx(found["flip_probability"], rel=1e-14)
            expected = np.mean([top5_distance(*each) for each in arguments])
            assert expected == pytest.approx(found["top5_distance"], rel=1e-14)


@pytest.mark.slow
def test_all_cells_give_no_mce_without_a_baseline_for_these_data(measure, tree_c):
    metrics = measure("imagenet-c", tree_c)["metrics"]
    assert metrics["mCE"] is metrics["CE"] is None
    assert "not measured on these data" in metrics["mCE_reason"]
    assert 0 < metrics["mean_error"] < 1


def test_finished_cells_are_kept_and_others_added(measure, part_c):
    first = measure("imagenet-c", part_c, names=["fog"], severities=[1])
    second = measure("imagenet-c", part_c, names=["fog", "snow"], severities=[1])
    assert list(second["cells"]) == ["fog/1", "snow/1"]
    # Its time would differ if it had been measured again.
    assert second["cells"]["fog/1"] == first["cells"]["fog/1"]


def test_clean_images_of_another_place_are_measured_again(measure, part_c, clean, tmp_path):
    def source(root):
        content = measure("imagenet-c", part_c, names=["fog"], severities=[1], clean_root=root)
        return content["cells"]["clean"]["source"]

    shutil.copytree(clean, tmp_path / "moved")
    assert source(clean) == source(clean / "class_0/..") == str(clean)
    assert source(tmp_path / "moved") == str(tmp_path / "moved")


def test_no_shard_is_without_clean_images(measure, part_c, clean, tmp_path):
    for path in clean.glob("*/0.png"):
        (tmp_path / "few" / path.parent.name).mkdir(parents=True)
        shutil.copy(path, tmp_path / "few" / path.parent.name)
    few = dict(names=["fog"], severities=[1], clean_root=tmp_path / "few")
    with pytest.raises(UserError, match="--shard: 7 shards for 6 images without corruption; ask"):
        measure("imagenet-c", part_c, shard=(6, 7), **few)
    assert measure("imagenet-c", part_c, shard=(5, 6), **few)["cells"]["clean"]["total"] == 1


def test_sample_is_spread_over_the_classes_and_marked(measure, part_c):
    content = measure("imagenet-c", part_c, names=["fog"], severities=[1], num_samples=6)
    assert content["cells"]["fog/1"]["total"] == 6
    assert "--num-samples 6" in content["metrics"]["not_comparable"]


@pytest.mark.parametrize(
    ("size", "said"), [(SIZE, f"keep {SIZE} x {SIZE}, resize others"), (40, "resize to 40 x 40")]
)
def test_settings_say_what_was_done(measure, part_c, size, said):
    asked = dict(names=["fog"], severities=[1], input_size=size)
    settings = measure("imagenet-c", part_c, **asked)["settings"]
    assert settings["transform"][:2] == ["decode (pillow)", f"{said} (pillow, bilinear)"]
    assert settings["input_size"] == size
    assert (settings["config"], settings["checkpoint"]) == ("small", "small.pth")
    assert settings["num_classes"] == 6 and not settings["regenerated"]


def test_known_clean_error_is_used(measure, part_c):
    content = measure("imagenet-c", part_c, names=["fog"], severities=[1], clean_error=0.25)
    assert content["metrics"]["clean_error"] == 0.25


def test_perturbations_of_ten_without_a_suited_baseline(measure, tree_p):
    metrics = measure("imagenet-p", tree_p)["metrics"]
    assert list(metrics["flip_probability"]) == list(PERTURBATIONS)
    assert metrics["mFR"] is metrics["mT5D"] is None
    assert "not measured on these data" in metrics["mFR_reason"]


def test_clip_that_is_too_short_for_the_difficulty_is_named(measure, part_p):
    write_clip(part_p / "tilt/class_3/0.mp4", [np.zeros((SIZE, SIZE, 3), np.uint8)] * 2)
    content = measure("imagenet-p", part_p, names=["tilt"])
    assert list(content["cells"]["tilt"]["difficulty"]) == ["1"]
    # Also where the cell is finished at a lower difficulty.
    for out in ("result.json", "other.json"):
        with pytest.raises(UserError, match=r"class_3/0\.mp4' has 2 frames, and --difficulty 2"):
            measure("imagenet-p", part_p, out, names=["tilt"], difficulty=2)


def test_stronger_noise_is_read_from_its_own_folder(measure, part_p):
    (part_p / "shot_noise").rename(part_p / "shot_noise_2")
    content = measure("imagenet-p", part_p, names=["shot_noise", "tilt"], difficulty=2)
    assert list(content["cells"]["shot_noise_2"]["difficulty"]) == ["2"]
    assert list(content["metrics"]["flip_probability"]) == ["shot_noise", "tilt"]
    assert content["metrics"]["difficulty"] == 2
    json.dumps(content, allow_nan=False)
