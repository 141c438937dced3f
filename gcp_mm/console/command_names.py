"""How the commands of this project are called where it is installed: from tools/, or as gcp-mm."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

# By command of gcp-mm, the file in tools/ of a source tree, which a wheel does not have.
TOOLS = {
    "train": "train",
    "test": "test",
    "zoo": "model_zoo",
    "convert": "convert_checkpoint",
    "export": "export",
    "robustness": "test_robustness",
    "corrupt": "make_corruptions",
    "landscape": "landscape",
    "reproduce": "reproduce",
    "schedules": "plot_schedules",
    "compare": "compare_runs",
}


def command_line(name: str, folder: Path = Path(__file__).parents[2]) -> str:
    """Return what starts a command here: a file of tools/ as it is typed, or ``gcp-mm NAME``."""
    file = Path("tools", f"{TOOLS[name]}.py")
    tool = folder / file
    if tool.is_file():
        # Nothing is typed at a Python prompt, whose program has an empty name.
        typed = Path(next(iter(sys.argv), "")).parent / file.name
        for path in (file, typed):
            # What is typed has to be found from the working folder.
            if path.is_file() and path.samefile(tool):
                return f"python {shlex.quote(str(path))}"
    return f"gcp-mm {name}"


def next_command(name: str, *arguments: object) -> str:
    """Return the last line of a command: what one would type next."""
    return f"next: {command_line(name)} {shlex.join(map(str, arguments))}"
