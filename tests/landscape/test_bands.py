import csv

import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.landscape.bands import (
    CSV_COLUMNS,
    Band,
    incomparable,
    mean_widths,
    run_bands,
    write_csv,
)

INF, NAN = float("inf"), float("nan")


def probe(step, losses, grad_diffs=(0.0, 1.0), **more):
    return {"step": step, "losses": list(losses), "grad_diffs": list(grad_diffs), **more}


def test_band_is_the_range_of_the_values_at_each_step():
    values = np.random.default_rng(0).normal(size=(2, 6, 5))
    order = [3, 0, 5, 1, 4, 2]
    run = run_bands("a", {}, [probe(10 * i, values[0, i], values[1, i]) for i in order])
    assert run.loss.steps.tolist() == [0, 10, 20, 30, 40, 50]
    for band, expected in zip((run.loss, run.gradient), values, strict=True):
        assert np.array_equal(band.lower, expected.min(axis=1))
        assert np.array_equal(band.width, np.ptp(expected, axis=1))


def test_later_record_of_a_step_counts():
    run = run_bands("a", {}, [probe(0, [1, 2]), probe(5, [1, 9]), probe(0, [3, 7], lr=0.1)])
    assert run.loss.upper.tolist() == [7, 9] and run.scalars["lr"][0] == 0.1


def of_file(name, step, epoch=None):
    return probe(step, [1, 2], checkpoint=name, sha256=f"digest of {name}", epoch=epoch)


@pytest.mark.parametrize(
    ("probes", "told"),
    [
        ([of_file("a.pth", 0), of_file("b.pth", 0)], "'a.pth' and 'b.pth' at step 0"),
        ([of_file("a.pth", 4, 1), of_file("b.pth", 5)], "'b.pth' does not say its iteration"),
    ],
)
def test_checkpoints_that_are_no_series_are_refused(probes, told):
    with pytest.raises(UserError, match=f"run 'r'.*{told}.*--out"):
        run_bands("r", {}, probes)


def test_first_weights_may_say_no_iteration():
    probes = [of_file("init.pth", 0), of_file("a.pth", 4, 1), of_file("b.pth", 8, 2)]
    assert run_bands("r", {}, probes).loss.steps.tolist() == [0, 4, 8]


def test_batches_of_a_step_are_averaged():
    probes = [
        probe(5, [1, 2], batch=0, loss=1.0, beta=[1.0, 5.0]),
        probe(5, [3, 8], batch=1, loss=4.0, beta=[3.0, 1.0]),
        probe(7, [0, 1], batch=1, beta=[2.0, None]),
    ]
    run = run_bands("a", {}, probes)
    assert run.loss.steps.tolist() == [5, 7]
    assert run.loss.lower.tolist() == [2, 0] and run.loss.upper.tolist() == [5, 1]
    assert np.array_equal(run.scalars["loss"], [2.5, NAN], equal_nan=True)
    assert np.array_equal(run.scalars["beta_max"], [4, NAN], equal_nan=True)


@pytest.mark.parametrize("value", [INF, -INF, NAN, None])
def test_probe_with_a_value_that_is_not_finite_is_a_gap(value):
    run = run_bands("a", {}, [probe(0, [1, 2]), probe(1, [1, value]), probe(2, [2, 4])])
    assert np.array_equal(run.loss.width, [1, NAN, 2], equal_nan=True)
    assert run.gradient.width.tolist() == [1, 1, 1]


def test_run_without_a_probe_is_named():
    with pytest.raises(UserError, match="run 'empty' has no probe"):
        run_bands("empty", {}, [])


@pytest.mark.parametrize("window", [1, 3, 5, 21])
def test_smoothing_is_the_mean_of_the_probes_in_the_window(window):
    rng = np.random.default_rng(window)
    lower, upper = rng.normal(size=(2, 9))
    upper[4] = NAN
    smooth = Band(np.arange(9), lower, upper).smoothed(window)
    for found, values in ((smooth.lower, lower), (smooth.upper, upper)):
        half = window // 2
        windows = [values[max(i - half, 0) : i + half + 1] for i in range(9)]
        expected = [NAN if np.isnan(values[i]) else np.nanmean(windows[i]) for i in range(9)]
        assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("window", [0, 2, -1])
def test_window_without_a_middle_is_refused(window):
    with pytest.raises(UserError, match=f"over {window} probes"):
        Band(np.arange(3), np.zeros(3), np.ones(3)).smoothed(window)


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


def test_reference_without_width_has_no_ratio():
    found = mean_widths(run("a", [0], [2.0], [1.0]), run("b", [0], [0.0], [4.0]))
    assert found["loss_ratio"] is None and found["grad_ratio"] == 0.25


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
    settings = {run.name: run.settings for run in runs}
    (sentence,) = incomparable(settings)
    assert "'b' was probed differently from 'a'" in sentence
    assert "batch_size is 96 there and 256 here" in sentence
    assert incomparable(settings, only=("at",)) == []


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
