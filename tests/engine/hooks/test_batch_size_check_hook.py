"""The warning about a learning rate that belongs to another batch size."""

import logging
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn
from torch.optim import SGD

from gcp_mm.engine.hooks import BatchSizeCheckHook
from gcp_mm.engine.hooks import model_checks as batch_size_check_hook


@pytest.fixture
def warnings(monkeypatch):
    """Run the hook and return its warnings."""

    def run(batch_size=32, processes=8, accumulated=None, scale=None, **changes):
        messages = []

        def record(message, logger, level):
            assert (logger, level) == ("current", logging.WARNING)
            messages.append(message)

        monkeypatch.setattr(batch_size_check_hook, "print_log", record)
        optim_wrapper = {"optimizer": {"type": "SGD", "lr": 0.1}}
        if accumulated is not None:
            optim_wrapper["accumulative_counts"] = accumulated
        settings = {
            "train_dataloader": {"batch_size": batch_size},
            "optim_wrapper": optim_wrapper,
            "auto_scale_lr": {"base_batch_size": 256, **(scale or {})},
            **changes,
        }
        BatchSizeCheckHook().before_train(
            SimpleNamespace(cfg=Config(settings), world_size=processes)
        )
        return messages

    return run


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"processes": 4, "batch_size": 64},
        {"processes": 1, "batch_size": 64, "accumulated": 4},
        {"processes": 1, "scale": {"enable": True}},
        {"processes": 1, "auto_scale_lr": None},
        {"processes": 1, "auto_scale_lr": {}},
        {"train_dataloader": {"batch_sampler": {"type": "X", "batch_size": 3}}},
    ],
)
def test_silent_where_nothing_is_wrong(warnings, setting):
    assert warnings(**setting) == []


@pytest.mark.parametrize(
    ("batch_size", "processes", "batch"), [(32, 1, 32), (8, 2, 16), (128, 8, 1024)]
)
def test_warning_names_both_batches_and_the_rate_that_mmengine_would_set(
    warnings, batch_size, processes, batch
):
    (message,) = warnings(batch_size, processes)
    assert "learning rate 0.1 belongs to a batch of 256" in message
    assert f"has {batch} ({batch_size} per process x {processes} processes)" in message
    assert f"pass --auto-scale-lr to train with {scaled(batch_size, processes):g}" in message


def scaled(batch_size, processes):
    """Return what mmengine makes of 0.1."""
    wrapper = Runner.build_optim_wrapper(
        SimpleNamespace(), {"optimizer": SGD(nn.Linear(1, 1).parameters(), lr=0.1)}
    )
    runner = SimpleNamespace(
        _train_dataloader={"batch_size": batch_size},
        world_size=processes,
        logger=logging.getLogger("scaled"),
        param_schedulers=None,
    )
    Runner.scale_lr(runner, wrapper, {"enable": True, "base_batch_size": 256})
    return wrapper.optimizer.param_groups[0]["lr"]


def test_accumulation_counts_and_needs_another_cure(warnings):
    (message,) = warnings(32, 2, accumulated=2)
    assert "128 (32 per process x 2 processes x 2 accumulated)" in message
    assert "set optim_wrapper.optimizer.lr=0.05" in message
    # It would set 0.025.
    assert "--auto-scale-lr" not in message
