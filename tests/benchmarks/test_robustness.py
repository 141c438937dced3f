"""Both ways that are timed count the same, of a network that takes images for several classes."""

import json
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from shared_folder import REPO
from torch import nn

CLASSES = ("disk", "square", "star")


def pictures(number):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (number, 3, 3, 3), dtype=np.uint8)
    return [cv2.resize(each, (224, 224), interpolation=cv2.INTER_NEAREST) for each in colours]


@pytest.fixture
def tree_c(tmp_path):
    drawn = iter(pictures(30))
    for severity in range(1, 6):
        for name in CLASSES:
            folder = tmp_path / "fog" / str(severity) / name
            folder.mkdir(parents=True)
            for index in range(2):
                Image.fromarray(next(drawn)).save(folder / f"{index}.JPEG")
    return tmp_path


@pytest.fixture
def tree_p(tmp_path):
    first, second, last = pictures(3)
    for index, frames in enumerate(([first, second, first], [last, last, second])):
        path = tmp_path / "brightness" / CLASSES[index] / "0.mp4"
        path.parent.mkdir(parents=True)
        video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 1, (224, 224))
        for frame in frames:
            video.write(frame)
        video.release()
    return tmp_path


def run(monkeypatch, dataset, tree, out):
    # By its file: tests/robustness has the same name.
    spec = spec_from_file_location("benchmark_of_robustness", REPO / "benchmarks" / "robustness.py")
    robustness, option = module_from_spec(spec), f"--{dataset[-1]}"
    spec.loader.exec_module(robustness)
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    words = [option, str(tree), "--network", "tiny", "--workers", "0", "--repetitions", "1"]
    words += ["--corruptions", "fog", "--perturbations", "brightness", "--memory-clips"]
    monkeypatch.setattr("sys.argv", ["robustness.py", *words, "2", "--out", str(out)])
    monkeypatch.setattr(robustness, "peak_memory", lambda evaluate, *given: len(evaluate(*given)))
    robustness.main()
    return robustness


def test_right_answers_are_counted_both_ways(monkeypatch, tree_c, tmp_path):
    robustness = run(monkeypatch, "imagenet-c", tree_c, tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())["imagenet-c"]
    assert found["files"] == 30 and found["predicted_classes"] == 3
    counts = found["counts"]
    assert len(counts) == 5 and all(each["total"] == 6 for each in counts.values())
    assert 0 < sum(each["correct"] for each in counts.values()) < 30
    wrong = {cell: each | {"correct": each["correct"] + 1} for cell, each in counts.items()}
    with pytest.raises(SystemExit, match="differ, so there is no result"):
        robustness.compare({"plain": counts, "gcp_mm": wrong})


def test_flips_are_counted_both_ways(monkeypatch, tree_p, tmp_path):
    run(monkeypatch, "imagenet-p", tree_p, tmp_path / "out.json")
    report = json.loads((tmp_path / "out.json").read_text())
    found = report["imagenet-p"]
    assert found["predicted_classes"] > 1 and found["counts"]["brightness"]["pairs"] == 4
    assert found["counts"]["brightness"]["flips"] == 3
    assert report["peak_memory_mib"]["gcp_mm"] == {"2": 1}


def test_what_takes_all_images_for_one_class_is_refused():
    from networks import tell_apart

    torch.manual_seed(0)
    network, last = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12)), nn.Linear(12, 5)
    images = torch.randn(8, 3, 2, 2)
    apart = partial(tell_apart, network, network, last)
    assert apart(images) > 1 and apart(images, [2, 4]) == 2
    assert set(last(network(images)).argmax(1).tolist()) == {2, 4}
    with pytest.raises(RuntimeError, match="takes all images for one class"):
        apart(images[:1].expand(8, -1, -1, -1))
