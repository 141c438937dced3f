"""requirements/browser.sh installs a browser where there is none, and says what it needs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "requirements/browser.sh"
# Writes down what it was asked for; installing puts the browser beside it.
APT_GET = """#!/bin/bash
echo "$@" >> "${0%/*}/asked"
if [[ $* == *install* ]]; then printf '#!/bin/bash\\n' > "${0%/*}/chromium"; fi
chmod +x "${0%/*}"/*
"""


@pytest.fixture
def machine(tmp_path):
    """Run the script with nothing on PATH but these programs."""

    def run(user: int, *programs: str):
        for name in programs:
            (tmp_path / name).write_text(APT_GET)
        (tmp_path / "id").write_text(f"#!/bin/bash\necho {user}\n")
        for path in tmp_path.iterdir():
            path.chmod(0o755)
        for name in ("bash", "chmod"):
            (tmp_path / name).symlink_to(shutil.which(name))
        command = [shutil.which("bash"), SCRIPT]
        return subprocess.run(
            command,
            env={**os.environ, "PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_chromium_is_installed_once(machine, tmp_path):
    process = machine(0, "apt-get")
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == str(tmp_path / "chromium")
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[2] for line in asked] == ["update", "install"]
    assert asked[1].endswith(" chromium")


def test_a_browser_that_is_there_is_left_alone(machine, tmp_path):
    assert machine(0, "apt-get", "chromium-headless-shell").returncode == 0
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(("user", "programs"), [(1000, ["apt-get"]), (0, [])])
def test_what_it_needs_is_said(machine, user, programs):
    process = machine(user, *programs)
    assert process.returncode == 1
    assert "apt-get and root" in process.stderr
