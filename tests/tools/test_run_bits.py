"""Every tool starts as the documentation writes it."""

import os
import re

import pytest

PAGES = ("README.md", "CONTRIBUTING.md", "docs/*.md", "docs/*/*.md")
# At the beginning of a command: a line of code, after a prompt or a setting, or a quoted command.
STARTED = re.compile(
    r"(?:^|`|&& )(?:\$ )?(?:[A-Z_]+=\S+ )*\.?/?((?:tools|requirements)/\w+\.sh)", re.M
)


def started_scripts(repo):
    pages = [page for pattern in PAGES for page in repo.glob(pattern)]
    return {name for page in pages for name in STARTED.findall(page.read_text())}


def test_scripts_of_the_documentation_can_be_run(repo):
    names = started_scripts(repo)
    assert {"tools/dist_train.sh", "tools/dist_test_robustness.sh"} <= names
    for name in names:
        assert os.access(repo / name, os.X_OK), f"{name} has no run bit"


LAUNCHERS = ["dist_train", "dist_test", "dist_test_robustness"]
LAUNCHERS += ["slurm_train", "slurm_test", "slurm_reproduce"]


@pytest.mark.parametrize("script", LAUNCHERS)
def test_launcher_starts_by_its_name_and_explains_itself(repo, run_tool, script):
    process = run_tool(repo / "tools" / f"{script}.sh")
    assert process.returncode == 2
    assert "error: " in process.stderr and f"tools/{script}.sh" in process.stderr


def test_every_launcher_is_tried(repo):
    found = {path.stem for path in (repo / "tools").glob("[!_]*.sh")}
    assert found == set(LAUNCHERS)
