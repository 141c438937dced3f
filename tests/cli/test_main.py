"""The program that dispatches to the commands."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import gcp_mm.cli
from gcp_mm.cli import main as program

FIND = "gcp_mm.cli.main.importlib.import_module"


def test_every_module_is_a_command():
    modules = {path.stem for path in Path(gcp_mm.cli.__file__).parent.glob("[!_]*.py")}
    assert modules - {"main"} == {name for name, row in program.COMMANDS.items() if not row.module}


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("trian", "did you mean 'train'?"),
        ("robust", "did you mean 'robustness'?"),
        ("xyz", "choose from train, test, zoo"),
    ],
)
def test_unknown_command_names_the_nearest(capsys, word, hint):
    with pytest.raises(SystemExit) as end:
        program.main([word, "--help"])
    assert end.value.code == 2
    assert f"gcp-mm: error: there is no command {word!r}; {hint}" in capsys.readouterr().err


def test_missing_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as end:
        program.main([])
    assert end.value.code == 2
    assert "usage: gcp-mm [-h] [--version] COMMAND" in capsys.readouterr().err


def test_arguments_and_exit_status_are_passed_on(monkeypatch):
    seen = []

    def command(argv, prog):
        seen.append((argv, prog))
        return 7

    monkeypatch.setattr(FIND, lambda name: SimpleNamespace(main=command))
    arguments = ["c.py", "--cfg-options", "a=b c", "--", "-h"]
    assert program.main(["train", *arguments]) == 7
    assert program.main(["doctor", "--help"], prog="python -m gcp_mm.cli") == 7
    assert seen == [
        (arguments, "gcp-mm train"),
        (["--help"], "python -m gcp_mm.cli doctor"),
    ]


def fail(name):
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(
    ("missing", "installed", "forks", "cure"),
    [
        ("mmengine.dist", (), False, "'gcp_mm[openmmlab,corruptions]'"),
        ("mmengine.dist", (), True, "'gcp_mm[onedl,corruptions]'"),
        # Compiled mmcv, or a fork, stays what it is.
        ("av", ("mmengine",), False, "'gcp_mm[corruptions]'"),
        ("mmdet.apis", ("mmengine",), False, "mmdet==3.3.0"),
        ("mmdet.apis", ("mmengine",), True, "onedl-mmdetection==3.5.1"),
    ],
)
@pytest.mark.parametrize("when", ["import", "call"])
def test_missing_package_is_named_with_its_cure(
    monkeypatch, capsys, missing, installed, forks, cure, when
):
    """Also one that is imported late, when the command runs."""
    module = SimpleNamespace(main=lambda argv, prog: fail(missing))
    monkeypatch.setattr(FIND, lambda name: fail(missing) if when == "import" else module)
    monkeypatch.setattr(
        program.importlib.util, "find_spec", lambda name: name if name in installed else None
    )
    monkeypatch.setattr(program.stack, "on_forks", lambda: forks)
    assert program.main(["corrupt"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    package = missing.partition(".")[0]
    assert f"`gcp-mm corrupt` needs the package {package!r}" in line
    assert line.endswith(f": pip install {cure}")


def test_missing_package_of_a_command_without_extra(monkeypatch, capsys):
    monkeypatch.setattr(FIND, lambda name: fail("torchvision"))
    monkeypatch.setattr(program.importlib.util, "find_spec", lambda name: name)
    assert program.main(["train"]) == 2
    assert capsys.readouterr().err.endswith(": pip install torchvision\n")


def test_missing_module_of_this_project_is_a_bug_and_stays_one(monkeypatch):
    def fail(name):
        raise ModuleNotFoundError("No module named 'gcp_mm.x'", name="gcp_mm.x")

    monkeypatch.setattr(FIND, fail)
    with pytest.raises(ModuleNotFoundError, match=r"gcp_mm\.x"):
        program.main(["train"])


def test_extras_exist(repo):
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    project = tomllib.loads((repo / "pyproject.toml").read_text())["project"]
    needed = {row.extra for row in program.COMMANDS.values() if row.extra} | {"openmmlab", "onedl"}
    assert needed - {""} <= project["optional-dependencies"].keys()


def test_module_runs_as_a_program(repo, tmp_path):
    process = subprocess.run(
        [sys.executable, "-m", "gcp_mm.cli", "doctor", "--help"],
        cwd=repo,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.startswith("usage: python -m gcp_mm.cli doctor")
