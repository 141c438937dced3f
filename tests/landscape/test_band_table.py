import csv

import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.landscape.bands import CSV_COLUMNS, incomparable, mean_widths, run_bands, write_csv

SETTINGS = {"at": "backbone.maxpool", "batch_size": 256}


def run(name, steps, loss_widths, grad_widths, **settings):
    probes = [
        {"step": step, "losses": [5.0, 5.0 + a], "grad_diffs": [1.0 + b, 1.0]}
        for step, a, b in zip(steps, loss_widths, grad_widths, strict=True)
    ]
    return run_bands(name, {**SETTINGS, **settings}, probes)


def test_mean_widths_over_common_steps():
    gap = run("gap", [0, 10, 20, 30], [4, 6, 8, 100], [2, 2, 5, 100])
    gcp = run("gcp", [5, 0, 10, 20], [100, 1, 2, 3], [100, 1, 1, 1])
    found = mean_widths(gcp, gap)
    assert (found["probes"], found["gaps"]) == (3, 0)
    expected = (2, 1, 2 / 6, 1 / 3)
    keys = ("loss_width", "grad_width", "loss_ratio", "grad_ratio")
    assert [found[key] for key in keys] == pytest.approx(expected, rel=1e-12)
    assert mean_widths(gap, gap)["loss_width"] == pytest.approx(118 / 4)


def test_gap_of_either_run_is_left_out_for_both():
    gap = run("gap", [0, 1, 2], [2, np.inf, 4], [1, 1, 3])
    gcp = run("gcp", [0, 1, 2], [1, 50, 1], [1, 50, 1])
    found = mean_widths(gcp, gap)
    assert (found["probes"], found["gaps"]) == (2, 1)
    assert found["loss_width"] == 1 and found["loss_ratio"] == pytest.approx(1 / 3)
    assert found["grad_ratio"] == pytest.approx(1 / 2)


@pytest.mark.parametrize("steps, widths", [([1, 2], [1, 1]), ([0, 10], [np.inf, np.nan])])
def test_runs_without_a_common_probe(steps, widths):
    with pytest.raises(UserError, match="'b' and 'a' have no probe at the same step"):
        mean_widths(run("b", steps, widths, [1, 1]), run("a", [0, 10], [1, 1], [1, 1]))


def test_settings_that_differ_are_named():
    same = [run(name, [0], [1], [1]) for name in "ac"]
    runs = [same[0], run("b", [0], [1], [1], batch_size=96), same[1]]
    (sentence,) = incomparable(runs)
    assert "'b' was probed differently from 'a'" in sentence
    assert "batch_size is 96 there and 256 here" in sentence


def test_csv_has_a_line_for_each_run_and_step(tmp_path):
    probes = [
        {"step": 0, "epoch": 0, "lr": 0.1, "loss": 1 / 3, "grad_norm": 0.5, "beta": [3.0, 7, 1]},
        {"step": 500, "epoch": 1, "lr": 0.1, "loss": 2.0, "grad_norm": 0.25, "beta": [1.0, None]},
    ]
    for record in probes:
        record.update(losses=[0.1, 0.7, 0.3], grad_diffs=[0.2, 0.1, 0.9])
    runs = [run_bands("a", {}, probes), run("b", [0], [2], [1])]
    path = write_csv(runs, tmp_path / "new/bands.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [(row["run"], row["step"]) for row in rows] == [("a", "0"), ("a", "500"), ("b", "0")]
    first = {key: float(value) for key, value in rows[0].items() if key != "run"}
    assert first == {
        **{"step": 0, "epoch": 0, "lr": 0.1, "loss": 1 / 3, "grad_norm": 0.5, "beta_max": 7},
        **{"loss_min": 0.1, "loss_max": 0.7, "loss_width": 0.7 - 0.1},
        **{"grad_min": 0.1, "grad_max": 0.9, "grad_width": 0.9 - 0.1},
    }
    assert rows[1]["beta_max"] == "nan"
    assert rows[2]["beta_max"] == rows[2]["epoch"] == "nan"
