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

    def pretend(gpus, processes, initialized=False, launcher="pytorch"):
        groups = []
        # Or the test runner itself would end with its parent.
        monkeypatch.setattr(distributed, "die_with_parent", lambda: None)
        monkeypatch.setattr(distributed, "count_gpus", lambda: gpus)
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: initialized)
        monkeypatch.setattr(torch.distributed, "init_process_group", groups.append)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
        if launcher == "slurm":
            monkeypatch.delenv("LOCAL_WORLD_SIZE")
            monkeypatch.setattr(distributed, "export_slurm", lambda: processes)
        return groups

    return pretend


@pytest.mark.parametrize(("gpus", "processes"), [(1, 2), (4, 8)])
def test_more_processes_than_gpus(machine, gpus, processes):
    groups = machine(gpus, processes)
    with pytest.raises(UserError) as caught:
        prepare_distributed(Config({"launcher": "pytorch"}))
    message = str(caught.value)
    assert f"{processes} processes were started on a machine with {gpus} GPU(s)" in message
    assert f"start at most {gpus}: give {gpus} to tools/dist_*.sh" in message
    assert "--auto-scale-lr" in message
    assert "CUDA_VISIBLE_DEVICES=" in message
    assert groups == []


def test_more_processes_than_gpus_under_slurm(machine):
    machine(4, 8, launcher="slurm")
    with pytest.raises(UserError, match="8 processes .* set GPUS_PER_NODE=4 for tools/slurm_"):
        prepare_distributed(Config({"launcher": "slurm"}))


@pytest.mark.parametrize("launcher", ["pytorch", "slurm"])
@pytest.mark.parametrize(("gpus", "processes"), [(1, 1), (8, 8), (8, 2)])
def test_gpus_are_left_to_mmengine(machine, gpus, processes, launcher):
    groups = machine(gpus, processes, launcher=launcher)
    cfg = Config({"launcher": launcher})
    prepare_distributed(cfg)
    assert groups == []
    assert cfg.to_dict() == {"launcher": launcher}


@pytest.mark.parametrize("launcher", ["pytorch", "slurm"])
def test_processes_end_with_their_launcher(machine, monkeypatch, launcher):
    machine(2, 2, launcher=launcher)
    asked = []
    monkeypatch.setattr(distributed, "die_with_parent", lambda: asked.append(True))
    prepare_distributed(Config({"launcher": launcher}))
    assert asked == [True]


def test_flexible_runner_gets_the_wrapper_with_its_strategy(machine):
    machine(0, 2)
    own = {"type": "DDPStrategy", "model_wrapper": {"find_unused_parameters": True}}
    for strategy in (None, own):
        cfg = Config({"launcher": "pytorch", "runner_type": "FlexibleRunner", "strategy": strategy})
        prepare_distributed(cfg)
        assert cfg.strategy.type == "DDPStrategy"
        assert cfg.strategy.model_wrapper.device_ids is None
        assert "model_wrapper_cfg" not in cfg
    assert cfg.strategy.model_wrapper.find_unused_parameters


@pytest.mark.parametrize("launcher", ["pytorch", "slurm"])
@pytest.mark.parametrize("initialized", [False, True])
def test_processes_without_gpu_use_gloo_and_no_device(machine, initialized, launcher):
    groups = machine(0, 2, initialized, launcher)
    cfg = Config({"launcher": launcher})
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


def test_average_of_a_flexible_runner_in_several_processes(machine):
    machine(2, 2)
    cfg = dict(launcher="pytorch", custom_hooks=[dict(type="EMAHook")])
    prepare_distributed(Config(cfg))
    with pytest.raises(UserError, match="EMAHook.* runner_type=FlexibleRunner"):
        prepare_distributed(Config(dict(cfg, runner_type="FlexibleRunner")))
