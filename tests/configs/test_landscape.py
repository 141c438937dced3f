"""The landscape configs are the published runs."""

import copy
import functools
from pathlib import Path

import pytest
from mmengine.config import Config

NETWORKS = ["resnet18", "resnet50", "mobilenetv2"]
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ROWS = [f"{network}_{pooling}" for network in NETWORKS for pooling in ("gap", "gcp")]


@functools.cache
def parse(row):
    return Config.fromfile(CONFIGS / f"landscape/{row}_landscape.py")


def test_there_is_one_for_each_network_and_pooling():
    found = {path.stem for path in (CONFIGS / "landscape").glob("*.py")}
    assert found == {f"{row}_landscape" for row in ROWS}


@pytest.mark.parametrize("row", ROWS)
def test_only_hook_and_dropout_differ_from_the_row_of_the_table(row):
    cfg = copy.deepcopy(parse(row))
    table = Config.fromfile(CONFIGS / f"imagenet/{row}_lrnorm.py")
    assert cfg.custom_hooks[-1] == dict(type="gcp_mm.LandscapeHook")
    cfg.custom_hooks.pop()
    if row.startswith("mobilenetv2"):
        assert cfg.model.head.dropout_rate == 0
        cfg.model.head.dropout_rate = table.model.head.dropout_rate
    assert cfg.to_dict() == table.to_dict()


@pytest.mark.parametrize("row", ROWS)
def test_schedule_is_the_published_one(row):
    cfg = parse(row)
    optimizer, steps = cfg.optim_wrapper.optimizer, cfg.param_scheduler
    batch = cfg.train_dataloader.batch_size * 8  # eight processes
    assert optimizer.momentum == 0.9
    if row.startswith("resnet"):
        assert (optimizer.lr, optimizer.weight_decay, batch) == (0.1, 1e-4, 256)
        assert (cfg.train_cfg.max_epochs, steps.milestones[:2], steps.gamma) == (100, [30, 60], 0.1)
    else:
        assert (optimizer.lr, optimizer.weight_decay, batch) == (0.045, 4e-5, 96)
        assert (cfg.train_cfg.max_epochs, steps.step_size, steps.gamma) == (400, 1, 0.98)
