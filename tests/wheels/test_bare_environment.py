"""What a user of the wheel does, in an environment of its own and far from the source tree."""

import pytest
import torch
from tiny_runs import CLASSIFIER, only_error, read_scalars, write_config

import gcp_mm
import gcp_mm.ops
from gcp_mm.cli.main import COMMANDS

USE_LAYER = """
import torch
import gcp_mm.ops as ops
x = torch.rand(2, 6, 3, 3, generator=torch.Generator().manual_seed(0))
print(ops.__file__)
print(ops.explain(x))
print(*ops.global_covariance_pool(x).flatten().tolist())
"""

# All in one process: each would import OpenMMLab. A command that fails ends its process.
EVERY_HELP_SCHEDULES_AND_CONFIGS = """
import os, sys
from gcp_mm.cli.main import COMMANDS, main
for name in COMMANDS:
    try:
        main([name, "--help"])
    except SystemExit as end:
        print(f"{name} ended with {end.code}")
print("schedules returned", main(["schedules", "rates.svg"]), flush=True)
import gcp_mm.engine.runner, mmdet.models
for config in sys.argv[1:]:
    if os.fork() == 0:
        os._exit(main(["train", config]) or 0)
    os.wait()
"""
CONFIGS = ["gcp_mm::mask_rcnn_r50_gcpm.py", "gcp_mm::imagenet/resnet18_gcp_lrnorm.py"]


def test_layer_of_the_wheel(bare):
    process = bare.warm("python", "-c", USE_LAYER)
    file, said, values = process.stdout.splitlines()
    assert file == str(bare.packages / "gcp_mm/ops/__init__.py")
    assert said.endswith("; C kernels")
    x = torch.rand(2, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    found = torch.tensor([float(value) for value in values.split()]).view(2, -1)
    torch.testing.assert_close(found, gcp_mm.ops.global_covariance_pool(x, impl="reference"))


def test_help_is_immediate(bare):
    process = bare("gcp-mm", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert process.returncode == 0
    assert process.stdout.startswith("usage: gcp-mm ")
    assert all(f"\n  {name} " in process.stdout for name in COMMANDS)
    imported = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert "gcp_mm.cli.main" in imported
    assert imported & {"torch", "numpy", "mmengine", "mmcv", "mmdet", "mmpretrain"} == set()


def test_commands_explain_themselves_draw_schedules_and_find_configs(bare, tmp_path):
    pytest.importorskip("mmdet")
    process = bare.warm("python", "-c", EVERY_HELP_SCHEDULES_AND_CONFIGS, *CONFIGS, cwd=tmp_path)
    for name in COMMANDS:
        assert f"usage: gcp-mm {name} " in process.stdout, process.stderr
        assert f"{name} ended with 0" in process.stdout
    drawn = process.stdout.rpartition("ended with")[2]
    assert drawn.count(" epochs, ") == 9 and drawn.endswith("schedules returned None\n")
    assert (tmp_path / "rates.svg").read_text().count("lradju, 150 epochs") == 1
    # Both configs were read; there are no data here.
    errors = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(CONFIGS), process.stderr
    assert all("does not exist (train_dataloader.dataset." in error for error in errors)
    assert "Traceback" not in process.stderr


def test_doctor(bare):
    """The wheel brings the kernels, the loader and mmcv's operators into the stack that is here."""
    pytest.importorskip("mmdet")
    process = bare.warm("gcp-mm", "doctor")
    assert process.returncode == 0, process.stdout
    rows = {line[6:25].strip(): line for line in process.stdout.splitlines() if line[:2] == "ok"}
    assert rows["gcp_mm"].endswith(f"{gcp_mm.__version__} in {bare.packages / 'gcp_mm'}")
    assert rows["GCP layer, CPU"].endswith("C kernels")
    assert rows.keys() >= {"mmcv operators", "mmcv ops, CPU", "checkpoint loader"}


def test_version(bare):
    assert bare("gcp-mm", "--version").stdout == f"gcp_mm {gcp_mm.__version__}\n"


def test_zoo_of_the_wheel(bare, tmp_path):
    pytest.importorskip("yaml")
    assert "resnet50_gcp_lradju_128" in bare("gcp-mm", "zoo", "list", cwd=tmp_path).stdout
    process = bare("gcp-mm", "zoo", "readme", cwd=tmp_path)
    error = only_error(process.returncode, process.stdout, process.stderr)
    assert "'docs/model_zoo.md' does not exist" in error and "run this in the source tree" in error


def test_mim_trains_a_config_by_name(bare, tmp_path, finds_wheels):
    process = bare.warm(
        *("python", "-c", "from mim.cli import cli; cli()"),
        *("train", "--yes", "gcp_mm", "resnet18_gcp_lrnorm.py", "--launcher", "none"),
        cwd=tmp_path,
    )
    output = process.stdout + process.stderr
    assert str(bare.packages / "gcp_mm/.mim/tools/train.py") in output
    # The config was found and our tool started; there are no data here.
    assert "error: 'data/imagenet" in output
    assert "does not exist (train_dataloader.dataset.data_root" in output


def test_two_processes_train_from_the_wheel(bare, class_folders, tmp_path):
    pytest.importorskip("mmpretrain")
    mim = bare.packages / "gcp_mm/.mim"
    config = write_config(tmp_path / "net.py", CLASSIFIER, repo=mim, data=class_folders)
    process = bare.warm(
        *("python", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"),
        *("-m", "gcp_mm.cli", "train", config, "--launcher", "pytorch"),
        *("--work-dir", tmp_path / "run", "--cfg-options", "train_cfg.max_epochs=1"),
        cwd=tmp_path,
    )
    assert process.returncode == 0, process.stderr
    losses, epochs = read_scalars(tmp_path / "run")
    assert len(losses) == 2 and len(epochs) == 1
