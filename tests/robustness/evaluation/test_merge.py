"""Files that are not all shards of one evaluation."""

import json
import shutil

import numpy as np
import pytest
from tiny_runs import only_error

from gcp_mm.robustness.measures import load_baseline
from robustness.report.conftest import content_of

CELL = {"correct": 1, "total": 3, "seconds": 0.5}
SETTINGS = {
    **{"checkpoint_sha256": "abc", "regenerated": False, "num_classes": 6, "num_samples": None},
    **{
        "baseline": "alexnet",
        "files_per_cell": 6,
        "transform": ["decode (pillow)", "require 224 x 224"],
    },
    "baseline_sha256": load_baseline("alexnet", "imagenet-c").sha256,
}
CLEAN = {**CELL, "source": "a", "sha256": "c0", "files": 6}
VERSIONS = {"torch": "2.13.0", "pillow": "12.0", "gcp_mm": "0.1"}


@pytest.fixture
def merge(call_tool, tmp_path):
    def run(*shards):
        paths = []
        for number, (shard, changed, cells, *rest) in enumerate(shards):
            settings = {**SETTINGS, **changed, "shard": shard}
            versions = {**VERSIONS, **(rest[0] if rest else {})}
            environment = {"device": ["cpu"], "batch_size": [number]}
            content = content_of(
                "imagenet-c", settings, cells, versions=versions, environment=environment
            )
            paths.append(tmp_path / f"{number}.json")
            paths[-1].write_text(json.dumps(content))
        return call_tool(
            *("tools/test_robustness.py", "merge", *paths, "--out", tmp_path / "merged.json")
        )

    return run


def test_counts_are_added(merge, impatient, tmp_path):
    cells = {"fog/1": CELL}
    code, output, errors = merge(([1, 2], {}, cells), ([0, 2], {}, cells))
    assert code == 0, errors
    assert "adding up cells:\n" in errors and "] 1/1, " in errors
    merged = json.loads((tmp_path / "merged.json").read_text())
    assert merged["cells"] == {"fog/1": {"correct": 2, "total": 6, "seconds": 1.0}}
    assert "no mCE" in output
    assert "exists; choose another --out" in only_error(*merge(([0, 1], {}, cells)))


@pytest.mark.parametrize(
    ("shards", "named"),
    [
        ([([0, 2], {}, {})], "missing shards: 1/2"),
        ([(None, {}, {}), ([1, 2], {}, {})], "0.json' is no shard"),
        ([([0, 2], {}, {}), ([0, 2], {}, {})], "shard 0/2 is there twice"),
        ([([0, 2], {}, {}), ([1, 3], {}, {})], "1.json' is shard 1/3"),
        (
            [([0, 2], {}, {}), ([1, 2], {"checkpoint_sha256": "xyz"}, {})],
            "checkpoint_sha256 is 'abc' there and 'xyz' here",
        ),
        ([([0, 2], {}, {"fog/1": CELL}), ([1, 2], {}, {})], "1.json' is not finished"),
        (
            [([0, 2], {}, {}), ([1, 2], {"classes_sha256": "xyz"}, {})],
            "classes_sha256 is None there and 'xyz' here",
        ),
        (
            [([0, 2], {}, {}), ([1, 2], {"clean_error": 0.25}, {})],
            "clean_error is None there and 0.25 here",
        ),
        ([([0, 2], {"difficulty": 1}, {}), ([1, 2], {"difficulty": 2}, {})], "difficulty is 1"),
        (
            [([0, 2], {}, {"clean": CLEAN}), ([1, 2], {}, {"clean": {**CLEAN, "sha256": "c1"}})],
            "clean: sha256 is 'c0' there and 'c1' here",
        ),
        (
            [([0, 2], {}, {"fog/1": CELL}), ([1, 2], {}, {"fog/1": {**CELL, "total": 2}})],
            "1.json': fog/1 has 2 images, and this shard has 3",
        ),
        (
            [([0, 2], {}, {"clean": CLEAN}), ([1, 2], {}, {"clean": {**CLEAN, "files": 7}})],
            "clean: files is 6 there and 7 here",
        ),
        (
            [([0, 2], {}, {"clean": CLEAN}), ([1, 2], {}, {"clean": {**CLEAN, "total": 4}})],
            "1.json': clean has 4 images, and this shard has 3",
        ),
        (
            [([i, 2], {"num_samples": 5}, {"fog/1": CELL}) for i in (0, 1)],
            "1.json': fog/1 has 3 images, and this shard has 2",
        ),
        (
            [([0, 2], {}, {}), ([1, 2], {}, {}, {"torch": "2.12.0"})],
            "torch is 2.13.0 there and 2.12.0 here",
        ),
        (
            [([i, 2], {"baseline": "mine", "baseline_sha256": "b0"}, {}) for i in (0, 1)],
            "the shards are relative to the baseline 'mine'",
        ),
        (
            [([0, 2], {}, {}), ([1, 2], {"baseline": "mine", "baseline_sha256": "b0"}, {})],
            "baseline is 'alexnet' there and 'mine' here",
        ),
    ],
)
def test_mistake_is_named(merge, tmp_path, shards, named):
    assert named in only_error(*merge(*shards))
    assert not (tmp_path / "merged.json").exists()


def test_clean_images_may_lie_elsewhere_on_each_machine(merge, tmp_path):
    other = {**CLEAN, "source": "/mnt/other"}
    code, _, errors = merge(([0, 2], {}, {"clean": CLEAN}), ([1, 2], {}, {"clean": other}))
    assert code == 0, errors
    merged = json.loads((tmp_path / "merged.json").read_text())["cells"]["clean"]
    assert merged == {**CLEAN, "correct": 2, "total": 6, "seconds": 1.0}


def test_what_shards_were_measured_with_is_kept(merge, tmp_path):
    code, _, errors = merge(([0, 2], {}, {}), ([1, 2], {}, {}, {"gcp_mm": "0.2"}))
    assert code == 0, errors
    merged = json.loads((tmp_path / "merged.json").read_text())
    assert merged["versions"] == {**VERSIONS, "gcp_mm": "0.1, 0.2"}
    assert merged["environment"] == {"device": ["cpu"], "batch_size": [0, 1]}


def test_another_baseline_may_be_named(call_tool, merge, tmp_path):
    changed = {"baseline": "mine", "baseline_sha256": "b0"}
    assert merge(([0, 2], {}, {}), ([1, 2], changed, {}))[0] == 2
    code, _, errors = call_tool(
        *("tools/test_robustness.py", "merge", tmp_path / "0.json", tmp_path / "1.json"),
        *("--baseline", "alexnet", "--out", tmp_path / "merged.json"),
    )
    assert code == 0, errors
    settings = json.loads((tmp_path / "merged.json").read_text())["settings"]
    assert settings["baseline"] == "alexnet"
    assert settings["baseline_sha256"] == SETTINGS["baseline_sha256"]


@pytest.mark.parametrize("fault", ["other clips", "a clip twice", "a clip less", "other classes"])
def test_clips_have_to_be_those_of_the_shard(tool, call_tool, part_p, tmp_path, fault):
    shards = [tmp_path / f"{i}.json" for i in range(2)]
    for i, path in enumerate(shards):
        code, _, errors = tool("imagenet-p", part_p, "--shard", f"{i}/2", "--out", path)
        assert code == 0, errors
    top5 = tmp_path / "1_top5" / "tilt.npz"
    content = dict(np.load(top5))
    assert content["clips"].tolist() == [1, 3, 5]
    if fault == "other clips":
        shutil.copy(tmp_path / "0_top5" / "tilt.npz", top5)
    elif fault == "other classes":
        content["classes"][0] = content["classes"][0][::-1]
        np.savez(top5, **content)
    elif fault == "a clip twice":
        np.savez(top5, **{**content, "clips": np.array([1, 3, 3], np.int32)})
    else:
        frames = int(content["lengths"][:2].sum())
        np.savez(
            top5,
            clips=content["clips"][:2],
            lengths=content["lengths"][:2],
            classes=content["classes"][:frames],
        )
    out = tmp_path / "merged.json"
    error = only_error(*call_tool("tools/test_robustness.py", "merge", *shards, "--out", out))
    told = "has" if fault != "other classes" else "is of another evaluation"
    assert f"1.json': the top-5 file of tilt {told}" in error
    assert fault == "other classes" or "not the 3 of this shard" in error
    assert not out.exists()
