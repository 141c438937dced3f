"""Messages name a command that is there."""

import re

import pytest

from gcp_mm.cli.main import COMMANDS
from gcp_mm.console.command_names import TOOLS, command_line, next_command


@pytest.fixture(autouse=True)
def here(repo, monkeypatch):
    monkeypatch.chdir(repo)


@pytest.mark.parametrize("name", TOOLS)
def test_command_is_the_tool_or_the_installed_program(repo, tmp_path, name):
    assert command_line(name) == f"python tools/{TOOLS[name]}.py"
    assert (repo / "tools" / f"{TOOLS[name]}.py").is_file()
    assert command_line(name, tmp_path) == f"gcp-mm {name}"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("{repo}/tools/train.py", "python {repo}/tools/test.py"),
        ("../my tree/tools/train.py", "python '../my tree/tools/test.py'"),
        ("/usr/bin/gcp-mm", "gcp-mm test"),
        # At a Python prompt.
        ("", "gcp-mm test"),
        # Another file of this name, which is none of ours.
        ("train.py", "gcp-mm test"),
    ],
)
def test_command_is_found_from_another_folder(repo, tmp_path, monkeypatch, typed, told):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/test.py").touch()
    (tmp_path / "my tree").symlink_to(repo)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr("sys.argv", [typed.format(repo=repo)])
    assert command_line("test") == told.format(repo=repo)


def test_next_command_can_be_typed_as_it_is():
    told = next_command("landscape", "plot", "my runs/a.json")
    assert told == "next: python tools/landscape.py plot 'my runs/a.json'"


def test_every_command_has_its_tool():
    assert TOOLS.keys() == COMMANDS.keys() - {"doctor"}


def test_no_message_names_a_file_that_a_wheel_lacks(repo):
    """Docstrings and comments may; the launch scripts have no other name."""
    for path in (repo / "gcp_mm").rglob("*.py"):
        code = re.sub(r'""".*?"""|^\s*#.*$', "", path.read_text(), flags=re.S | re.M)
        assert not re.search(r"tools/[a-z_]+\.py", code), path
