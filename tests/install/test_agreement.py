"""The files that name Pythons, versions and make's targets say the same."""

import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
    probe = next(probe for probe in packages.PROBES if probe.name == "python")
    for minor in range(8, 17):
        monkeypatch.setattr(packages.platform, "python_version", lambda minor=minor: f"3.{minor}.1")
        if probe.run().status == "ok":
            accepted.add(minor)
    assert accepted == MINORS


def test_locks_have_what_they_are_made_of():
    for name in ("lock", "onedl", "uv", "peers"):
        assert chosen(name).keys() <= requirements(f"{name}.txt").keys()


def requirements(name):
    """The requirements of a file of them, by name; of a lock, one for each environment."""
    found = {}
    for line in read(f"requirements/{name}").splitlines():
        if line[:1].isalpha():
            requirement = Requirement(line.removesuffix("\\"))
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def chosen(name):
    """What a lock is made of."""
    common = "-r common.in" in read(f"requirements/{name}.in")
    return {**(requirements("common.in") if common else {}), **requirements(f"{name}.in")}


def fits(requirement, minor, machine):
    """Whether a requirement is one of an environment."""
    environment = {
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.9",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
    }
    return requirement.marker is None or requirement.marker.evaluate(environment)


def pins(locked, name, minor, machine):
    """The versions of a package that a lock has for an environment."""
    return [
        str(requirement.specifier).removeprefix("==")
        for requirement in locked[name]
        if fits(requirement, minor, machine)
    ]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", ["lock", "onedl", "peers"])
def test_locks_have_one_version_for_every_python(name, machine):
    locked = requirements(f"{name}.txt")
    for minor in MINORS:
        for package, requests in chosen(name).items():
            (version,) = pins(locked, package, minor, machine)
            asked = [request for request in requests if fits(request, minor, machine)]
            assert asked and all(request.specifier.contains(version) for request in asked), package
        assert all(len(pins(locked, package, minor, machine)) <= 1 for package in locked)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", ["lock", "onedl"])
def test_nothing_of_the_stack_is_beside_it(name, machine):
    stack, peers = requirements(f"{name}.txt"), requirements("peers.txt")
    for minor in MINORS:
        for package in peers.keys() & stack.keys():
            twice = pins(peers, package, minor, machine) and pins(stack, package, minor, machine)
            assert not twice, package


@pytest.mark.parametrize("extra, name", [("openmmlab", "lock"), ("onedl", "onedl")])
def test_extras_ask_for_what_is_tested(extra, name):
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    locked = requirements(f"{name}.txt")
    asked = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"][extra]
    pinned = 0
    for line in asked:
        requirement = Requirement(line)
        for minor in MINORS:
            (version,) = pins(locked, canonicalize_name(requirement.name), minor, "x86_64")
            assert requirement.specifier.contains(version), line
        pinned += str(requirement.specifier).startswith("==")
    # The packages of the stack itself.
    assert pinned == 5


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
