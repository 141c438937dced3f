"""Checking the launched processes against the devices of the machine."""

import pytest
import torch
from mmengine.config import Config

from gcp_mm.engine import distributed
from gcp_mm.engine.distributed import prepare_distributed
from gcp_mm.errors import UserError


@pytest.fixture
def machine(monkeypatch):
    """Pretend a number of GPUs and processes; return the process groups that are started."""

    def pretend(gpus, processes, initialized=False):
        groups = []
        # Or the test runner itself would end with its parent.
        monkeypatch.setattr(distributed, "die_with_parent", lambda: None)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: initialized)
        monkeypatch.setattr(torch.distributed, "init_process_group", groups.append)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        return groups

    return pretend


@pytest.mark.parametrize(("gpus", "processes"), [(1, 2), (4, 8)])
def test_more_processes_than_gpus(machine, gpus, processes):
    groups = machine(gpus, processes)
    with pytest.raises(UserError) as caught:
        prepare_distributed(Config({"launcher": "pytorch"}))
    message = str(caught.value)
    assert f"{processes} processes were started on a machine with {gpus} GPU(s)" in message
    assert f"bash tools/dist_train.sh CONFIG {gpus}" in message
    assert "--auto-scale-lr" in message
    assert "CUDA_VISIBLE_DEVICES=" in message
    assert groups == []


@pytest.mark.parametrize(("gpus", "processes"), [(1, 1), (8, 8), (8, 2)])
def test_gpus_are_left_to_mmengine(machine, gpus, processes):
    groups = machine(gpus, processes)
    cfg = Config({"launcher": "pytorch"})
    prepare_distributed(cfg)
    assert groups == []
    assert cfg.to_dict() == {"launcher": "pytorch"}


@pytest.mark.parametrize("initialized", [False, True])
def test_processes_without_gpu_use_gloo_and_no_device(machine, initialized):
    groups = machine(0, 2, initialized)
    cfg = Config({"launcher": "pytorch"})
    prepare_distributed(cfg)
    assert groups == ([] if initialized else ["gloo"])
    assert cfg.model_wrapper_cfg == {
        "type": "MMDistributedDataParallel",
        "device_ids": None,
        "broadcast_buffers": False,
    }


def test_wrapper_of_the_config_has_priority(machine):
    machine(0, 2)
    own = {"find_unused_parameters": True, "broadcast_buffers": True}
    cfg = Config({"launcher": "pytorch", "model_wrapper_cfg": own})
    prepare_distributed(cfg)
    assert cfg.model_wrapper_cfg == {
        "type": "MMDistributedDataParallel",
        "device_ids": None,
        **own,
    }


def test_one_process_needs_nothing(machine):
    groups = machine(0, 2)
    cfg = Config({"launcher": "none"})
    prepare_distributed(cfg)
    assert groups == []
    assert "model_wrapper_cfg" not in cfg
