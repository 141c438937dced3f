"""The files that name Pythons, versions and make's targets say the same."""

import re
import subprocess
from pathlib import Path

from gcp_mm.doctor import packages

ROOT = Path(__file__).resolve().parents[2]
MINORS = set(range(10, 15))


def read(name):
    return (ROOT / name).read_text()


def test_pythons():
    assert "supported_pythons='3.10 to 3.14'" in read("requirements/python.sh")
    project = read("pyproject.toml")
    assert 'requires-python = ">=3.10"' in project
    classified = re.findall(r"Programming Language :: Python :: 3\.(\d+)", project)
    assert {int(minor) for minor in classified} == MINORS
    assert re.search(r"3\.10 (to|-|–) 3\.14", read("README.md"))


def test_doctor_accepts_the_same_pythons(monkeypatch):
    accepted = set()
    for minor in range(8, 17):
        monkeypatch.setattr(packages.platform, "python_version", lambda minor=minor: f"3.{minor}.1")
        if packages._python().status == "ok":
            accepted.add(minor)
    assert accepted == MINORS


def test_locks_have_what_they_are_made_of():
    common = read("requirements/common.in")
    for name in ("lock", "onedl"):
        own = read(f"requirements/{name}.in").replace("-r common.in", "")
        locked = set(re.findall(r"^([a-z0-9-]+)==", read(f"requirements/{name}.txt"), re.MULTILINE))
        wanted = re.findall(r"^([A-Za-z][\w.-]*)", common + own, re.MULTILINE)
        assert {name.replace("_", "-").lower() for name in wanted} <= locked


def test_make_chooses_the_environment():
    for stack, folder in (("", ".venv/"), ("onedl", ".venv-onedl/")):
        plan = subprocess.run(
            ["make", "--dry-run", "test", f"STACK={stack}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert f"{folder}bin/python -m pytest" in plan
