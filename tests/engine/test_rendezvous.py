"""SLURM's variables in torch's terms, and failures to meet in one line."""

import os

import pytest

from gcp_mm.engine.rendezvous import explain_failure, export_slurm
from gcp_mm.errors import UserError

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
