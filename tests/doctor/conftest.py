"""A stack of stubs for the self-check to look at."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from doctor.stand_ins import FORKS, STACK


@dataclass
class Report:
    """What the command answered."""

    exit_status: int
    table: str
    errors: str

    def row(self, name: str) -> tuple[str, str]:
        """Return status and text of a row, with the cure below it."""
        lines = self.table.splitlines()
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            status, _, rest = line.partition(" ")
            if rest.strip().startswith(name + "  "):
                return status, rest + (following if following.lstrip().startswith("->") else "")
        raise AssertionError(f"no row {name!r} in:\n{self.table}")


class Doctor:
    """A folder of stubs and the command that examines it."""

    def __init__(self, folder: Path, stack: dict[str, str | None]) -> None:
        self.folder = folder
        self.stack = {name: text for name, text in stack.items() if text is not None}
        for name, text in self.stack.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *arguments: str, **environment: str) -> Report:
        """Run the command, with ``-S``: it sees the stubs and the standard library only."""
        result = subprocess.run(
            [sys.executable, "-S", "-m", "gcp_mm.doctor", *arguments],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(self.folder),
                # A stub that is edited within a second would be taken from its bytecode.
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Report(result.returncode, result.stdout, result.stderr)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a stub; without ``old``, replace its text."""
        text = self.stack.get(name, "")
        assert old in text
        self.stack[name] = text.replace(old, new) if old else new
        self.write(name, self.stack[name])


@pytest.fixture
def doctor(tmp_path):
    return Doctor(tmp_path / "site-packages", STACK)


@pytest.fixture
def forks(tmp_path):
    return Doctor(tmp_path / "forks", {**STACK, **FORKS})
