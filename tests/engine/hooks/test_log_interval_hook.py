"""Short epochs are logged too."""

from types import SimpleNamespace

import pytest
from mmengine.hooks import LoggerHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from gcp_mm.engine.hooks import LogIntervalHook


def interval(length, before, loop=EpochBasedTrainLoop):
    logger = LoggerHook(interval=before)
    runner = SimpleNamespace(
        train_loop=object.__new__(loop), train_dataloader=range(length), hooks=[logger]
    )
    LogIntervalHook().before_train(runner)
    return logger.interval


@pytest.mark.parametrize(
    ("length", "before", "after"),
    [
        (30, 100, 6),
        (150, 100, 30),
        (3, 50, 1),
        (1, 100, 1),
        (200, 100, 100),
        (5005, 100, 100),
        (4, 1, 1),
    ],
)
def test_interval_fits_the_epoch(length, before, after):
    assert interval(length, before) == after
    # Every epoch has a line, and one that was logged before is not logged less.
    assert after <= before and length // after >= 1


def test_runs_without_epochs_keep_theirs():
    assert interval(3, 100, IterBasedTrainLoop) == 100


@pytest.mark.parametrize(("length", "after"), [(30, 6), (3, 1), (200, 100)])
def test_interval_fits_an_evaluation(length, after):
    logger = LoggerHook(interval=100)
    LogIntervalHook().before_test(SimpleNamespace(test_dataloader=range(length), hooks=[logger]))
    assert logger.interval == after
