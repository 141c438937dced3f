"""Two processes with half the batch each measure what one process measures with the whole batch."""

import numpy as np
import pytest
from tiny_runs import write_config

from gcp_mm.landscape.records import read_records

# A network without batch norm, which has no statistics of a batch that depend on how it is split.
CONFIG = """
_base_ = '{classifier}'
custom_hooks = [dict(
    type='gcp_mm.LandscapeHook', interval=1, at='backbone.downsample_layers.0', etas=[10, 100],
    batch_norm='eval', rescale=8)]
train_cfg = dict(max_epochs=1, val_interval=9)
"""


@pytest.fixture(scope="module")
def runs(run_tool, smooth_classifier, tmp_path_factory):
    """Return the headers and records of one process and of two."""
    folder = tmp_path_factory.mktemp("processes")
    config = write_config(folder / "tiny.py", CONFIG, classifier=smooth_classifier)
    found = []
    for name, command in (
        ("one", ("tools/train.py", config)),
        ("two", ("bash", "tools/dist_train.sh", config, 2)),
    ):
        options = ("--cfg-options", "train_dataloader.batch_size=2") if name == "two" else ()
        process = run_tool(*command, "--work-dir", folder / name, *options)
        assert process.returncode == 0, process.stderr
        found.append(read_records(folder / name / "landscape.jsonl"))
    return found


def test_each_iteration_is_written_once(runs):
    for header, records in runs:
        assert header["settings"]["batch_size"] == 4
        assert [(r["step"], r["batch_size"]) for r in records] == [(step, 4) for step in range(4)]


def test_numbers_are_those_of_one_process(runs):
    (_, one), (_, two) = runs
    for expected, found in zip(one, two, strict=True):
        for name in ("etas", "loss", "losses", "grad_norm", "grad_diffs", "beta", "cosine"):
            np.testing.assert_allclose(
                found[name], expected[name], rtol=1e-4, atol=1e-6, err_msg=name
            )
    # Half of the batch does not give them by chance.
    assert abs(two[0]["loss"] / two[1]["loss"] - 1) > 1e-2
