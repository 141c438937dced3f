"""Several processes: devices, SLURM's variables in torch's terms, and a common end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from processes import is_running

from gcp_mm.engine import distributed
from gcp_mm.engine.distributed import explain_failure, export_slurm, prepare_distributed
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


IN_USE = (
    "The server socket has failed to listen on any local network address. port: 29777, useIpv6: "
    "false, code: -98, name: EADDRINUSE, message: address already in use\nException raised from"
)
EXPORTED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture
def step(monkeypatch):
    """Set the variables of one process of a step, and nothing else of SLURM's or torch's."""

    def start(**changes):
        for name in list(os.environ):
            if name.startswith("SLURM_") or name in EXPORTED:
                monkeypatch.delenv(name)
        for name in EXPORTED:  # so that what the test exports is taken back
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        given = dict(
            SLURM_PROCID="3",
            SLURM_NTASKS="4",
            SLURM_LOCALID="1",
            SLURM_NODEID="1",
            SLURM_TASKS_PER_NODE="2(x2)",
            SLURM_JOB_ID="41",
            SLURM_STEP_ID="2",
        )
        for name, value in {**given, **changes}.items():
            if value is not None:
                monkeypatch.setenv(name, value)

    return start


def test_one_node(step):
    step(SLURM_TASKS_PER_NODE="4", SLURM_NODEID="0", SLURM_NNODES="1")
    assert export_slurm() == 4
    assert [os.environ[name] for name in EXPORTED[:5]] == ["3", "4", "1", "4", "127.0.0.1"]


@pytest.mark.parametrize(
    ("tasks", "node", "expected"), [("2(x2)", "1", 2), ("8(x2),4", "2", 4), ("3,1", "0", 3)]
)
def test_processes_of_this_node(step, tasks, node, expected):
    step(SLURM_TASKS_PER_NODE=tasks, SLURM_NODEID=node)
    assert export_slurm() == expected


def test_step_counts_where_it_has_fewer_processes_than_the_job(step):
    step(SLURM_TASKS_PER_NODE="8", SLURM_STEP_TASKS_PER_NODE="2", SLURM_NODEID="0")
    assert export_slurm() == 2


@pytest.mark.process
def test_first_of_several_nodes(step, tmp_path, monkeypatch):
    (tmp_path / "scontrol").write_text(
        '#!/bin/sh\n[ "$*" = "show hostnames node[07-08]" ] && printf "node07\\nnode08\\n"\n'
    )
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    step(SLURM_NNODES="2", SLURM_NODELIST="node[07-08]")
    export_slurm()
    assert os.environ["MASTER_ADDR"] == "node07"
    step(SLURM_NNODES="2", SLURM_NODELIST="unknown[1-2]")
    with pytest.raises(UserError, match=r"unknown\[1-2\].* set MASTER_ADDR"):
        export_slurm()


def test_several_nodes_without_scontrol(step, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    step(SLURM_NNODES="2", SLURM_NODELIST="node[07-08]")
    with pytest.raises(UserError, match="scontrol.* set MASTER_ADDR"):
        export_slurm()


def test_address_and_port_of_the_user_have_priority(step):
    step(SLURM_NNODES="2", MASTER_ADDR="10.0.0.7", MASTER_PORT="29555")
    export_slurm()
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("10.0.0.7", "29555")


def test_steps_meet_at_different_ports(step):
    ports = set()
    for job, part in (("41", "2"), ("41", "3"), ("42", "2"), ("99999999", "0")):
        step(SLURM_JOB_ID=job, SLURM_STEP_ID=part)
        export_slurm()
        ports.add(int(os.environ["MASTER_PORT"]))
    assert len(ports) == 4
    assert all(1024 < port < 32768 for port in ports)


@pytest.mark.parametrize("name", ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_TASKS_PER_NODE"])
def test_process_that_srun_did_not_start(step, name):
    step(**{name: None})
    with pytest.raises(UserError, match=f"{name} is not set; start with tools/slurm_train.sh"):
        export_slurm()


def test_port_in_use_is_one_line_with_the_cure():
    text = explain_failure(RuntimeError(IN_USE))
    assert text.startswith("port 29777 is in use on this machine")
    assert "PORT=29501" in text
    assert "\n" not in text


def test_other_failure_keeps_its_reason():
    error = RuntimeError("The client socket has timed out after 600000ms (node07, 29500).\nframe")
    text = explain_failure(error)
    assert "timed out after 600000ms (node07, 29500)" in text
    assert "MASTER_ADDR" in text
    assert "frame" not in text


# They write their number and that of their parent.
WORKER = """
import os, sys, time
from pathlib import Path
from gcp_mm.engine.distributed import die_with_parent
name = ('die', 'stay')[int(os.environ['RANK'])]
if name == 'die':
    die_with_parent()
Path(sys.argv[1], f'worker {name}').write_text(f'{os.getpid()} {os.getppid()}')
time.sleep(120)
"""
LOADER = """
import os, sys, time
from pathlib import Path
from torch.utils.data import DataLoader
from gcp_mm.engine.distributed import end_children_too

class Large:
    # Pickled, as masks are: more than a pipe holds.
    def __len__(self):
        return 99
    def __getitem__(self, index):
        return bytes(2**20)

started = {}
for name in ('stay', 'die'):
    if name == 'die':
        end_children_too()
        end_children_too()
    started[name] = iter(DataLoader(Large(), num_workers=1, prefetch_factor=8, collate_fn=list))
    next(started[name])
time.sleep(1)
for name, batches in started.items():
    Path(sys.argv[1], f'loader {name}').write_text(f'{batches._workers[0].pid} {os.getpid()}')
time.sleep(120)
"""


def pids_in(file: Path) -> list[int]:
    """Wait for the numbers of processes that are written into a file."""
    end = time.monotonic() + 120
    while not (file.exists() and file.read_text()) and time.monotonic() < end:
        time.sleep(0.1)
    return list(map(int, file.read_text().split()))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel request is Linux's")
def test_processes_end_with_those_that_started_them(tmp_path, warm_env):
    """The worker of a launcher and of a data loader; without the request they stay."""
    launch = ["-m", "gcp_mm.engine.launch", "--nproc_per_node=2", "--standalone"]
    # The launcher itself is to be their parent, as it is of processes of the interpreter.
    env = {**warm_env, "PYTHON_EXEC": sys.executable}
    started = []
    for name, start, text in (("worker", launch, WORKER), ("loader", [], LOADER)):
        script = tmp_path / f"{name}.py"
        script.write_text(text)
        command = [env["PYTHON"], *start, str(script), str(tmp_path)]
        started.append(subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL))
    names = [f"{name} {end}" for name in ("worker", "loader") for end in ("die", "stay")]
    children, parents = {}, set()
    for name in names:
        children[name], parent = pids_in(tmp_path / name)
        parents.add(parent)
    assert len(parents) == len(started)
    for parent in parents:
        os.kill(parent, signal.SIGKILL)
    for process in started:
        process.wait()
    killed = time.monotonic()

    def running():
        return {name for name, child in children.items() if is_running(child)}

    staying = {"worker stay", "loader stay"}
    while running() != staying and time.monotonic() < killed + 5:
        time.sleep(0.1)
    soon = running()
    # By itself the worker of a loader looks after its parent every five seconds.
    time.sleep(max(0, killed + 8 - time.monotonic()))
    later = running()
    for name in later:
        os.kill(children[name], signal.SIGKILL)
    assert soon == later == staying
