"""A training run that is killed continues as if nothing had happened."""

import json
import signal
import subprocess
import time

import pytest
import torch
from suite import made_once
from tiny_runs import (
    ITERATIONS,
    forget_runs,
    read_checkpoint,
    read_log,
    read_scalars,
    write_config,
)

from gcp_mm.engine.config import load_config
from gcp_mm.engine.runner import train

# Stops the run in the middle of epoch 2, so that the kill comes neither early nor late.
STOPPING_HOOK = """
import os
import time
from pathlib import Path
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class StoppingHook(Hook):
    priority = 'LOWEST'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if 'STOP' in os.environ and (runner.epoch, batch_idx) == (1, 1):
            Path(os.environ['STOP']).touch()
            time.sleep(300)
"""
CONFIG = """
_base_ = '{classifier}'

custom_imports = dict(imports=['gcp_mm.registry', 'stopping_hook'], allow_failed_imports=False)
custom_hooks = [
    dict(type='gcp_mm.BatchSizeCheckHook'),
    dict(type='gcp_mm.CheckpointCoverageHook'),
    dict(type='mmengine.StoppingHook'),
]
"""


@pytest.fixture(scope="module")
def resumed(loaded_env, classifier, repo, tmp_path_factory):
    """Return the work folder of a run that was killed and resumed."""

    def kill_and_resume():
        folder = tmp_path_factory.mktemp("resumed")
        (folder / "stopping_hook.py").write_text(STOPPING_HOOK)
        config = write_config(folder / "tiny_gcp.py", CONFIG, classifier=classifier)
        work_dir, marker = folder / "work", folder / "stopped"
        command = [loaded_env["PYTHON"], "tools/train.py", config, "--work-dir", work_dir]

        process = subprocess.Popen(
            list(map(str, command)),
            cwd=repo,
            env={**loaded_env, "PYTHONPATH": str(folder), "STOP": str(marker)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        end = time.monotonic() + 240
        while not marker.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        process.kill()
        # Which waits for all that could write into the pipe.
        output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, output
        assert {path.name for path in work_dir.glob("epoch_*.pth")} == {"epoch_1.pth"}
        assert max(read_scalars(work_dir)[0]) == ITERATIONS + 2

        # mmengine calls the folder of a run's log by the second in which the run begins.
        while (work_dir / time.strftime("%Y%m%d_%H%M%S")).exists():
            time.sleep(0.05)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            train(load_config(str(config), work_dir=str(work_dir)), resume=True)
        forget_runs()
        return work_dir

    return made_once(tmp_path_factory, "resumed", kill_and_resume)


def test_weights_and_optimizer_are_exactly_those_of_an_uninterrupted_run(trained, resumed):
    expected, found = (read_checkpoint(run / "epoch_3.pth") for run in (trained[0], resumed))
    assert found["state_dict"].keys() == expected["state_dict"].keys()
    for name, tensor in expected["state_dict"].items():
        assert torch.equal(found["state_dict"][name], tensor), name
    for key, state in expected["optimizer"]["state"].items():
        momentum = found["optimizer"]["state"][key]["momentum_buffer"]
        assert torch.equal(momentum, state["momentum_buffer"])
    assert found["param_schedulers"] == expected["param_schedulers"]
    assert found["meta"]["epoch"] == expected["meta"]["epoch"] == 3


def test_curves_are_exactly_those_of_an_uninterrupted_run(trained, resumed):
    (expected, epochs), (found, found_epochs) = map(read_scalars, (trained[0], resumed))
    assert list(expected) == sorted(found) == list(range(1, 3 * ITERATIONS + 1))
    for step, record in expected.items():
        assert [found[step][key] for key in ("loss", "lr", "epoch")] == [
            record[key] for key in ("loss", "lr", "epoch")
        ]
    for epoch, record in epochs.items():
        assert found_epochs[epoch]["accuracy/top1"] == record["accuracy/top1"]


def test_it_went_on_at_the_beginning_of_the_second_epoch(resumed):
    _, second = sorted(resumed.glob("*/vis_data/scalars.json"))
    assert json.loads(second.read_text().splitlines()[0])["step"] == ITERATIONS + 1
    assert f"resumed epoch: 1, iter: {ITERATIONS}" in read_log(resumed)


def test_coverage_of_the_checkpoint_is_reported(resumed):
    number = sum(
        "num_batches" not in name for name in read_checkpoint(resumed / "epoch_1.pth")["state_dict"]
    )
    source = resumed / "epoch_1.pth"
    assert f"loaded {number} of {number} tensors from {source}" in read_log(resumed)
