"""The help of every command comes without the seconds that PyTorch and OpenMMLab take to import."""

import subprocess
import sys

import pytest

from gcp_mm.cli import _landscape_measure as choices
from gcp_mm.cli import main as program
from gcp_mm.cli import robustness as arguments

CALL = """
import runpy, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "mmengine", "mmcv", "mmdet", "mmpretrain"):
            raise AssertionError(f"{name} is imported")

sys.meta_path.insert(0, Refuse())
{call}
"""
TOOLS = [
    *(f"tools/{name}.py" for name in ("train", "test", "export", "landscape", "test_robustness")),
    *(f"tools/{name}.py" for name in ("compare_runs", "plot_schedules", "demo", "make_demo_data")),
    *(f"tools/{name}.py" for name in ("model_zoo", "convert_checkpoint", "make_corruptions")),
    "tools/reproduce.py",
]


def help_of(repo, call):
    command = [sys.executable, "-c", CALL.replace("{call}", call)]
    return subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tool", TOOLS)
def test_tool(repo, tool):
    call = f"sys.argv = [{tool!r}, '--help']; runpy.run_path({tool!r}, run_name='__main__')"
    process = help_of(repo, call)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("usage: ")


def test_every_tool_is_tried(repo):
    assert {f"tools/{path.name}" for path in (repo / "tools").glob("*.py")} == set(TOOLS)


@pytest.mark.parametrize("name", program.COMMANDS)
def test_command(repo, name):
    process = help_of(repo, f"from gcp_mm.cli.main import main; main([{name!r}, '--help'])")
    assert process.returncode == 0, process.stderr
    assert f"usage: gcp-mm {name}" in process.stdout


def test_choices_are_those_of_the_modules():
    from gcp_mm.landscape import curvature, records, settings
    from gcp_mm.landscape import loss as load

    assert choices.SPLITS == load.SPLITS
    assert choices.DIRECTIONS == tuple(settings.DIRECTIONS)
    assert choices.BATCH_NORMS == settings.BATCH_NORMS
    assert choices.RECORDS == records.FILENAME
    assert choices.EXACT_BELOW == curvature.EXACT_BELOW


def test_choices_of_robustness_are_those_of_the_modules():
    from gcp_mm.images import read_image
    from gcp_mm.robustness.evaluation import baselines as alexnet
    from gcp_mm.robustness.evaluation import classifier

    assert arguments.BACKENDS == read_image.BACKENDS
    assert arguments.DTYPES == classifier.DTYPES
    assert arguments.ALEXNET == alexnet.NAME
