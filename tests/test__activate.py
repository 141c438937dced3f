"""What importing the plugin changes, in whatever order."""

import signal

import pytest

REPORT = """
{first}
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.fileio import get_file_backend
from mmengine.runner.checkpoint import CheckpointLoader
loaders = CheckpointLoader._schemes
print(MODULE2PACKAGE["gcp_mm"])
print(type(get_file_backend(backend_args=dict(backend="gcp_mm_atomic"))).__name__)
for prefix in ("", "https://", "torchvision://", "gcp_mm://"):
    print(loaders[prefix].__module__)
"""
LOADER = "gcp_mm.checkpoints.loader"
CHANGED = ["gcp_mm", "AtomicLocalBackend", LOADER, LOADER, LOADER, "gcp_mm.zoo.weights"]


@pytest.mark.parametrize(
    "first",
    [
        "import gcp_mm",
        # These import a module of mmengine whose change they are themselves.
        f"import {LOADER}",
        "import gcp_mm.engine.fileio",
    ],
)
def test_changes_are_there(run_warm, tmp_path, first):
    pytest.importorskip("mmengine")
    process = run_warm("-c", REPORT.format(first=first), cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == CHANGED


def test_next_to_nothing_is_imported(run_tool, tmp_path):
    code = "import gcp_mm, sys; print({name.split('.')[0] for name in sys.modules})"
    process = run_tool("-c", code, cwd=tmp_path)
    assert "'gcp_mm'" in process.stdout, process.stderr
    assert not [name for name in ("mmengine", "torch", "yaml") if f"'{name}'" in process.stdout]


@pytest.mark.parametrize("folder", [".mim/tools", "tools"])
def test_openmmlabs_own_tools_end_with_one_line(run_tool, tmp_path, folder):
    tool = tmp_path / folder / "test.py"
    tool.parent.mkdir(parents=True)
    tool.write_text(
        "import errno, sys, gcp_mm\n"
        "from gcp_mm.errors import UserError\n"
        "kind = dict(other=ValueError, stop=KeyboardInterrupt, disk=OSError, ours=UserError)\n"
        "number = [errno.ENOSPC] if sys.argv[1] == 'disk' else []\n"
        "raise kind[sys.argv[1]](*number, 'what and where')\n"
    )
    told = {"ours": "error: what and where", "disk": "what and where; free", "stop": "interrupted"}
    for kind, line in told.items():
        process = run_tool(tool, kind)
        # A shell reports the second, a process that SIGINT has ended, as 130.
        assert process.returncode == (-signal.SIGINT if kind == "stop" else 1)
        if folder == "tools":
            assert "Traceback" in process.stderr
        else:
            assert line in process.stderr.splitlines()[-1]
            assert "Traceback" not in process.stderr
    assert "Traceback" in run_tool(tool, "other").stderr
