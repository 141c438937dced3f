"""The source archive is the source tree, and what it says of itself is true."""

import re
import tarfile

import pytest

import gcp_mm
from wheels.conftest import FOLDERS, below


@pytest.fixture(scope="module")
def members(sdist):
    with tarfile.open(sdist) as archive:
        root = f"gcp_mm-{gcp_mm.__version__}/"
        names = [member.name for member in archive if member.isfile()]
    assert all(name.startswith(root) for name in names)
    return {name.removeprefix(root) for name in names}


def test_archive_is_the_source_tree(members, repo):
    at_root = {name for name in members if "/" not in name}
    assert at_root == {
        *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile"),
        *("PKG-INFO", "README.md", "model-index.yml", "pyproject.toml", "setup.cfg", "setup.py"),
    }
    generated = {name for name in members if name.startswith("gcp_mm.egg-info/")}
    assert members - at_root - generated == below(repo, *FOLDERS)


def test_extras_ask_for_the_tested_versions(repo):
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    extras = tomllib.loads((repo / "pyproject.toml").read_text())["project"]
    pins = dict(
        requirement.split("==")
        for requirement in extras["optional-dependencies"]["openmmlab"]
        if "==" in requirement
    )
    locked = dict(
        re.findall(r"^([\w.-]+)==([\w.]+)", (repo / "requirements/lock.txt").read_text(), re.M)
    )
    assert {"mmengine", "mmdet", "mmpretrain", "openmim"} <= pins.keys() & locked.keys()
    assert {name: locked.get(name, version) for name, version in pins.items()} == pins
