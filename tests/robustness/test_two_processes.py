"""Two processes, and shards that are merged, count what one process counts."""

import json

import numpy as np
import pytest

from robustness.conftest import SIZE

# No multiple of the number of processes or shards, so that one of them has a file more.
ASKED = {
    "imagenet-c": ("--corruptions", "fog", "snow", "--severities", 1, 3, "--num-samples", 17),
    "imagenet-p": ("--corruptions", "shot_noise", "tilt", "--num-samples", 5),
}


@pytest.fixture
def asked(request, config, checkpoint):
    def arguments(dataset):
        tree = request.getfixturevalue(f"tree_{dataset[-1]}")
        common = ("--data-root", tree, "--input-size", SIZE, "--batch-size", 4, "--workers", 0)
        return (config, checkpoint), ("--dataset", dataset, *common, *ASKED[dataset])

    return arguments


def cells(path) -> dict:
    found = json.loads(path.read_text())["cells"]
    return {
        name: {key: value for key, value in cell.items() if key != "seconds"}
        for name, cell in found.items()
    }


def top5_files(path) -> dict[str, list]:
    files = sorted(path.with_name(f"{path.stem}_top5").glob("*.npz"))
    return {file.name: [np.load(file)[key].tolist() for key in np.load(file)] for file in files}


@pytest.fixture
def one(call_tool, asked, tmp_path):
    def run(dataset):
        names, options = asked(dataset)
        out = tmp_path / "one.json"
        code, _, errors = call_tool("tools/test_robustness.py", *names, *options, "--out", out)
        assert code == 0, errors
        return out

    return run


@pytest.mark.parametrize("dataset", ASKED)
def test_two_processes_count_like_one(one, run_loaded, asked, tmp_path, dataset):
    (config, checkpoint), options = asked(dataset)
    out = tmp_path / "two.json"
    process = run_loaded(
        *("bash", "tools/dist_test_robustness.sh", config, checkpoint, 2, *options, "--out", out),
    )
    assert process.returncode == 0, process.stderr
    alone = one(dataset)
    assert cells(out) == cells(alone)
    assert top5_files(out) == top5_files(alone)
    # The bar and the lines come from one process.
    assert process.stdout.count("results: ") == process.stdout.count("next: ") == 1


@pytest.mark.parametrize("dataset", ASKED)
def test_merged_shards_count_like_one(one, call_tool, asked, tmp_path, dataset):
    names, options = asked(dataset)
    shards = [tmp_path / f"shard{i}.json" for i in range(3)]
    for i, shard in enumerate(shards):
        code, output, errors = call_tool(
            *("tools/test_robustness.py", *names, *options),
            *("--shard", f"{i}/3", "--out", shard),
        )
        assert code == 0, errors
        assert f"shard {i}/3: merge the shards first" in output
    out = tmp_path / "merged.json"
    code, output, errors = call_tool(
        *("tools/test_robustness.py", "merge", *reversed(shards), "--out", out)
    )
    assert code == 0, errors
    assert output.endswith(f"\nnext: python tools/test_robustness.py report {out}\n")
    alone = one(dataset)
    assert cells(out) == cells(alone)
    assert top5_files(out) == top5_files(alone)
    merged, straight = (json.loads(path.read_text()) for path in (out, alone))
    assert merged["settings"] == straight["settings"]
    assert merged["metrics"] == straight["metrics"]
