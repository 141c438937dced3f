"""Short epochs are logged too."""

import json
import re
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import LoggerHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from tiny_runs import forget_runs, read_log, read_scalars

from engine.conftest import Regression
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


SAMPLES, BATCH = 10, 4  # batches of 4, 4 and 2
ITERATION = re.compile(r"Epoch\((\w+)\) .* eta: .*  time: ([\d.]+)  .*  images/s: ([\d.]+)\n")
EPOCH = re.compile(r"Epoch\((\w+)\) .*  data_time: .*  time: ([\d.]+)  images/s: ([\d.]+)\n")


class Model(Regression):
    """Predict the number of samples."""

    def forward(self, x, y, mode):
        return super().forward(x, y, mode) if mode == "loss" else [len(y)]


class Count(BaseMetric):
    """Count the samples."""

    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        return {"samples": sum(results)}


def run(work_dir, **log_processor):
    """Train for an epoch, validate and test; return the runner."""
    loader = {
        "dataset": [(torch.full((2,), float(i)), float(i)) for i in range(SAMPLES)],
        "batch_size": BATCH,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "collate_fn": {"type": "default_collate"},
    }
    runner = Runner(
        model=Model(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        val_dataloader=loader,
        test_dataloader=loader,
        train_cfg={"by_epoch": True, "max_epochs": 1},
        val_cfg={},
        test_cfg={},
        val_evaluator=[Count()],
        test_evaluator=[Count()],
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01}},
        default_hooks={"logger": {"type": "LoggerHook", "interval": 1}},
        log_processor={"type": "gcp_mm.ThroughputLogProcessor", "num_digits": 7, **log_processor},
        experiment_name="throughput",
    )
    runner.train()
    runner.test()
    forget_runs()
    return runner


def throughputs(pattern, log):
    """Return the pairs of time and throughput by mode."""
    found = defaultdict(list)
    for mode, *numbers in pattern.findall(log):
        found[mode].append([float(number) for number in numbers])
    return found


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("throughput")
    run(folder)
    return folder


def test_lines_of_iterations_show_batch_over_time(work_dir):
    rows = throughputs(ITERATION, read_log(work_dir))
    assert {mode: len(pairs) for mode, pairs in rows.items()} == {"train": 3, "val": 3, "test": 3}
    for pairs in rows.values():
        for seconds, throughput in pairs:
            # The line rounds to 1e-7 s and 0.1 images/s.
            assert throughput == pytest.approx(BATCH / seconds, rel=1e-3, abs=0.1)


def test_lines_of_epochs_show_all_images_over_the_whole_time(work_dir):
    rows = throughputs(EPOCH, read_log(work_dir))
    assert {mode: len(pairs) for mode, pairs in rows.items()} == {"val": 1, "test": 1}
    for ((seconds, throughput),) in rows.values():
        assert throughput == pytest.approx(SAMPLES / (3 * seconds), rel=1e-3, abs=0.1)


def test_scalars_hold_the_throughput(work_dir):
    steps, epochs = read_scalars(work_dir)
    assert len(steps) == 3 and len(epochs) == 1
    for record in steps.values():
        assert record["images_per_second"] == pytest.approx(BATCH / record["time"])
    for record in epochs.values():
        assert record["samples"] == SAMPLES
        assert record["images_per_second"] == pytest.approx(SAMPLES / (3 * record["time"]))


def test_processes_count_together(work_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, "world_size", 8)
    run(tmp_path)
    for record in read_scalars(tmp_path)[0].values():
        assert record["images_per_second"] == pytest.approx(8 * BATCH / record["time"])


def test_scalars_may_be_named_by_their_loop(tmp_path):
    run(tmp_path, log_with_hierarchy=True)
    (file,) = tmp_path.glob("*/vis_data/scalars.json")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    for record in records:
        mode, batch = ("val", SAMPLES / 3) if "val/time" in record else ("train", BATCH)
        found = record[f"{mode}/images_per_second"]
        assert found == pytest.approx(batch / record[f"{mode}/time"])
