import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.landscape.bands import Band, run_bands

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
