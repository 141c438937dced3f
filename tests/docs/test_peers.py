"""Blocks in packages that cannot stand beside the stack run in processes of their own.

``make test`` puts the packages into ``.cache/peers`` (requirements/peers.sh).
"""

import json
import re
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from shared_folder import PEERS_LOCK as LOCK
from shared_folder import REPO

from docs.blocks import ALL, PEERS

PAGE = REPO / "docs/layer_anywhere.md"
APART = [block for block in ALL if block.is_run_apart]
SAME_MODULE = {"opencv-python": "opencv-python-headless"}
# Where the modules of a process are.
MODULES = """
import json, sys
files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
json.dump(files, open(sys.argv[1], "w"))
"""


@pytest.fixture
def run_apart(peers, run_warm, tmp_path):
    """Run code where the packages are found, for what it prints and the files of its modules."""

    def run(code):
        program, modules = tmp_path / "block.py", tmp_path / "modules.json"
        program.write_text(code + MODULES)
        path = f"{peers}:{REPO}"
        process = run_warm(program, modules, cwd=tmp_path, PYTHONPATH=path)
        assert process.returncode == 0, process.stderr
        files = json.loads(modules.read_text())
        return process.stdout, {name: Path(file) for name, file in files.items() if file}

    return run


@pytest.mark.parametrize("block", APART, ids=lambda block: block.needs[0])
def test_block_runs(block, peers, run_apart):
    printed, files = run_apart(block.code)
    assert block.prints and printed.strip() == block.prints.strip()
    (name,) = block.needs
    assert files[name.replace("-", "_")].is_relative_to(peers)
    assert files["gcp_mm.ops"].is_relative_to(REPO / "gcp_mm")
    assert not {"mmengine", "mmpretrain"} & files.keys()
    assert not [name for name in ("torch", "numpy") if files[name].is_relative_to(peers)]


def test_every_package_has_a_block():
    chosen = re.findall(r"^[a-z-]+", LOCK.with_suffix(".in").read_text(), re.M)
    # The other one is for a tool of mmpretrain (tests/configs/test_upstream_tools.py).
    others = ["-c", "grad-cam"]
    assert [block.needs for block in APART] == [(name,) for name in chosen if name not in others]
    assert {name for block in APART for name in block.needs} == PEERS


def test_page_names_the_versions_that_are_run():
    locked = re.findall(rf"^({'|'.join(PEERS)})==(\d+\.\d+)", LOCK.read_text(), re.M)
    assert {name for name, _ in locked} == PEERS
    assert all(release in PAGE.read_text() for _, release in locked)


def test_packages_are_complete_with_those_of_the_stack(peers):
    found = {canonicalize_name(one.name): one for one in distributions(path=[str(peers)])}
    assert found.keys() > PEERS
    for one in found.values():
        for requirement in map(Requirement, one.requires or []):
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            name = canonicalize_name(requirement.name)
            name = SAME_MODULE.get(name, name)
            release = found[name].version if name in found else version(name)
            assert requirement.specifier.contains(release), f"{one.name}: {requirement} {release}"
