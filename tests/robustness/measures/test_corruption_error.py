"""CE and mCE against published tables and a closed form."""

import dataclasses
import random

import numpy as np
import pytest
import torch

from gcp_mm.errors import UserError
from gcp_mm.robustness.measures import corruption_error, load_baseline
from gcp_mm.robustness.names import BENCHMARK_CORRUPTIONS, EXTRA_CORRUPTIONS

ALEXNET = load_baseline("alexnet", "imagenet-c")

# Errors in percent in the order of the benchmark, and the published mCE.
WSL = {
    "resnext101_32x48d_wsl": (
        "36.5868 38.4364 39.8076 39.1164 54.818 37.5004 44.4944 39.6656 37.8044 29.9156 18.376 "
        "32.1096 40.2592 25.6256 26.9004",
        45.70,
    ),
    "resnext101_32x8d": (
        "60.0148 61.7548 65.7424 53.1404 65.6848 51.8344 56.8676 60.11 54.6248 49.4664 28.2292 "
        "56.1248 47.5676 43.9596 38.7024",
        66.65,
    ),
}
ANT_ACCURACIES = {
    "brightness": 69.66,
    "contrast": 42.12,
    "defocus_blur": 47.02,
    "elastic_transform": 48.89,
    "fog": 44.20,
    "frost": 45.50,
    "gaussian_noise": 64.77,
    "glass_blur": 36.98,
    "impulse_noise": 63.95,
    "jpeg_compression": 62.36,
    "motion_blur": 43.30,
    "pixelate": 54.65,
    "shot_noise": 65.73,
    "snow": 36.71,
    "zoom_blur": 40.56,
}


def flat(error: float) -> dict[str, float]:
    return dict.fromkeys(BENCHMARK_CORRUPTIONS, error)


def test_alexnet_is_exactly_100_of_itself():
    found = corruption_error(ALEXNET.error, ALEXNET.clean_error)
    assert found["mCE"] == found["relative_mCE"] == 100
    assert set(found["CE"].values()) == set(found["relative_CE"].values()) == {100.0}
    assert len(found["CE"]) == 19


def test_resnet50_as_published(published):
    table = published("resnet50_v1")
    errors = {name: 1 - top1 / 100 for name, top1 in table["top1"].items()}
    found = corruption_error(errors, 1 - table["clean_top1"] / 100)
    for name, ce in table["published_ce"].items():
        assert found["CE"][name] == pytest.approx(ce, abs=0.01)
    assert found["mCE"] == pytest.approx(76.70, abs=0.005)
    assert found["relative_mCE"] == pytest.approx(table["published_relative_mce"], abs=0.1)
    assert found["mean_error"] == pytest.approx(1 - table["published_mean_top1"] / 100, abs=5e-5)


@pytest.mark.parametrize("name", WSL)
def test_weakly_supervised_networks_as_published(name):
    errors, mce = WSL[name]
    values = [float(error) / 100 for error in errors.split()]
    found = corruption_error(dict(zip(BENCHMARK_CORRUPTIONS, values, strict=True)))
    assert found["mCE"] == pytest.approx(mce, abs=0.005)


def test_order_does_not_matter():
    errors = {name: 1 - top1 / 100 for name, top1 in ANT_ACCURACIES.items()}
    shuffled = list(errors.items())
    random.Random(0).shuffle(shuffled)
    assert corruption_error(dict(shuffled)) == corruption_error(errors)
    assert corruption_error(errors)["mCE"] == pytest.approx(62.51, abs=0.005)


def test_five_errors_and_their_mean_are_the_same():
    rows = {name: [0.1, 0.2, 0.3, 0.4, 0.5] for name in BENCHMARK_CORRUPTIONS}
    by_severity, by_mean = corruption_error(rows, 0.05), corruption_error(flat(0.3), 0.05)
    for key in ("mCE", "relative_mCE", "mean_error"):
        assert by_severity[key] == pytest.approx(by_mean[key], rel=1e-12)


def test_sums_are_divided_inside_a_corruption():
    # Closed form with one corruption: 2.5 / (0.45140 + ... + 0.72440), not a mean of ratios.
    found = corruption_error({"brightness": [0.1, 0.3, 0.5, 0.7, 0.9]}, clean_error=0.1)
    assert found["CE"]["brightness"] == pytest.approx(100 * 2.5 / 2.82296, rel=1e-12)
    relative = 100 * (2.5 - 0.5) / (2.82296 - 5 * 0.43478)
    assert found["relative_CE"]["brightness"] == pytest.approx(relative, rel=1e-12)


def test_extra_corruptions_do_not_count():
    errors = flat(0.5)
    extra = {**errors, **dict.fromkeys(EXTRA_CORRUPTIONS, 1.0)}
    one, other = corruption_error(errors), corruption_error(extra)
    assert (one["mCE"], one["mean_error"]) == (other["mCE"], other["mean_error"])
    assert set(other["CE"]) - set(one["CE"]) == set(EXTRA_CORRUPTIONS)


def test_part_has_no_mean():
    errors = flat(0.5)
    del errors["fog"]
    found = corruption_error({**errors, "saturate": 0.5}, 0.2)
    assert found["mCE"] is found["relative_mCE"] is found["mean_error"] is None
    assert len(found["CE"]) == 15


def test_nothing_relative_without_clean_error():
    found = corruption_error(flat(0.5))
    assert found["relative_CE"] is found["relative_mCE"] is None


def test_baseline_without_a_rise_gives_nothing_relative():
    rows = {**ALEXNET.error, "fog": (0.5,) * 5}
    baseline = dataclasses.replace(ALEXNET, error=rows, clean_error=0.5)
    found = corruption_error(flat(0.6), 0.2, baseline)
    assert found["relative_CE"]["fog"] is found["relative_mCE"] is None
    assert found["relative_CE"]["snow"] is not None and found["mCE"] is not None


@pytest.mark.parametrize("kind", [tuple, np.array, torch.tensor, iter])
def test_five_errors_may_be_of_any_sequence(kind):
    found = corruption_error({"fog": kind([0.1, 0.2, 0.3, 0.4, 0.5])})
    expected = corruption_error({"fog": np.float64(0.3)})
    assert found["CE"]["fog"] == pytest.approx(expected["CE"]["fog"], rel=1e-6)


@pytest.mark.parametrize(
    ("errors", "clean", "named"),
    [
        ({"gausian_noise": 0.5}, None, "gausian_noise"),
        ({"fog": 60.0}, None, "'fog' is 60.0"),
        ({"fog": [0.1, 0.2]}, None, "'fog': 2 values"),
        ({"fog": [0.1, 0.2, 0.3, 0.4, -0.1]}, None, "'fog' is -0.1"),
        ({"fog": float("nan")}, None, "'fog' is nan"),
        ({"fog": 0.5}, 23.9, "'clean_error' is 23.9"),
        ({"fog": 0.5}, "0.2", "'clean_error' is '0.2'"),
        ({"fog": "0.5"}, None, "'fog' is '0.5'"),
        ({"fog": None}, None, "'fog' is None"),
        ({"fog": [0.1, 0.2, None, 0.4, 0.5]}, None, "'fog' is None"),
        ({"fog": [0.1, 0.2, "0.3", 0.4, 0.5]}, None, "'fog' is '0.3'"),
        ({"fog": [[0.1], [0.2, 0.3], 0.3, 0.4, 0.5]}, None, r"'fog' is \[0.1\]"),
        ({1: 0.5, "gausian_noise": 0.5}, None, "1, gausian_noise"),
        ("fog", None, "errors is a str"),
        (None, None, "errors is a NoneType"),
        ([0.5] * 15, None, "errors is a list"),
    ],
)
def test_mistake_is_named(errors, clean, named):
    with pytest.raises(UserError, match=named):
        corruption_error(errors, clean)
