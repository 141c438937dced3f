"""Files that are not all shards of one evaluation."""

import json

import pytest
from tiny_runs import only_error

CELL = {"correct": 1, "total": 3, "seconds": 0.5}
SETTINGS = {
    **{"checkpoint_sha256": "abc", "regenerated": False, "num_classes": 6, "num_samples": None},
    **{"baseline": "alexnet", "transform": ["decode (pillow)", "require 224 x 224"]},
}


@pytest.fixture
def merge(call_tool, tmp_path):
    def run(*shards):
        paths = []
        for number, (shard, changed, cells) in enumerate(shards):
            content = {"format": "gcp_mm robustness", "version": 1, "dataset": "imagenet-c"}
            settings = {**SETTINGS, **changed, "shard": shard}
            content.update(name="net", settings=settings, cells=cells, metrics={})
            paths.append(tmp_path / f"{number}.json")
            paths[-1].write_text(json.dumps(content))
        return call_tool(
            *("tools/test_robustness.py", "merge", *paths, "--out", tmp_path / "merged.json")
        )

    return run


def test_counts_are_added(merge, tmp_path):
    cells = {"fog/1": CELL}
    code, output, errors = merge(([1, 2], {}, cells), ([0, 2], {}, cells))
    assert code == 0, errors
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
    ],
)
def test_mistake_is_named(merge, tmp_path, shards, named):
    assert named in only_error(*merge(*shards))
    assert not (tmp_path / "merged.json").exists()
