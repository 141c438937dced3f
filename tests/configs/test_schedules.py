"""The nine learning-rate settings of the paper, step by step, against the original code's."""

import csv
import functools
import json

import pytest
from mmengine.config import Config

from gcp_mm.plots.learning_rates import learning_rates

FAMILIES = ("ResNet", "MobileNetV2", "ShuffleNetV2")
MODES = ("LRnorm", "LRfast", "LRadju")
SETTINGS = [f"{family}_{mode}" for family in FAMILIES for mode in MODES]
# Iterations of an epoch, of which the recorded tables of ShuffleNetV2 have 100.
EPOCH_LENGTH = 100
# The published number of epochs where the code has another one.
EPOCHS = {"MobileNetV2_LRnorm": 400}


@pytest.fixture(scope="module")
def recipes(shared):
    return json.loads((shared / "golden" / "lr" / "recipes.json").read_text())


@functools.cache
def schedule(repo, setting):
    return Config.fromfile(repo / "configs" / "_base_" / "schedules" / f"{setting.lower()}.py")


def test_all_settings_are_there(repo, shared):
    recorded = {path.stem for path in (shared / "golden" / "lr").glob("*.csv")}
    assert recorded == set(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS)
def test_learning_rate_equals_the_original_in_every_step(repo, shared, setting):
    rates = learning_rates(schedule(repo, setting), EPOCH_LENGTH)
    with (shared / "golden" / "lr" / f"{setting}.csv").open() as file:
        rows = [
            (int(row["epoch"]), int(row.get("iteration", 0)), float(row["lr"]))
            for row in csv.DictReader(file)
        ]
    assert len(rows) in (schedule(repo, setting).train_cfg.max_epochs, 2 * EPOCH_LENGTH)
    for epoch, iteration, expected in rows:
        error = abs(rates[epoch, iteration] - expected)
        assert error <= 1e-12 * expected + 1e-15, (epoch, iteration)


def test_the_port_of_dropcov_warms_up_and_falls_to_zero_one_step_after_the_last(repo):
    rates = learning_rates(schedule(repo, "ResNet_mindspore"), EPOCH_LENGTH).ravel()
    warm, total = 2 * EPOCH_LENGTH, 100 * EPOCH_LENGTH
    assert len(rates) == total
    for step in (warm, warm + 1, total // 2, total - 1):
        expected = 0.8 * (total - step) / (total - warm)
        assert rates[step] == pytest.approx(expected, rel=1e-9)
    # A line from nearly nothing to the largest.
    assert rates[0] < 1e-3 and rates[warm - 1] == pytest.approx(0.8, rel=1e-9)
    assert rates[warm // 2] == pytest.approx(0.4, rel=0.02)


@pytest.mark.parametrize("setting", SETTINGS)
def test_first_and_last_epoch_are_the_recorded_ones(repo, shared, setting):
    lines = (shared / "golden" / "lr" / f"{setting}.csv").read_text().splitlines()
    assert schedule(repo, setting).train_cfg.max_epochs == int(lines[-1].split(",")[0]) + 1


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_equal_the_recipe(repo, recipes, setting):
    cfg, recipe = schedule(repo, setting), recipes[setting]
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.type == "SGD"
    assert (optimizer.momentum, optimizer.weight_decay) == (
        recipe["momentum"],
        recipe["weight_decay"],
    )
    assert optimizer.get("nesterov", False) is False
    # No exception for batch norms and biases.
    assert "paramwise_cfg" not in cfg.optim_wrapper
    assert cfg.auto_scale_lr.base_batch_size == recipe["batch_size"]
    assert cfg.train_cfg.max_epochs == EPOCHS.get(setting, recipe["epochs_in_code"])
