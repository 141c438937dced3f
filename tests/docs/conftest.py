"""The site of docs/, built once for all workers."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shared_folder import REPO
from suite import made_once


@pytest.fixture(scope="session")
def site(tmp_path_factory, tool_env) -> Path:
    """Return the site, built as `make docs` does."""
    pytest.importorskip("sphinx", reason="sphinx is not installed: `make install` puts it there")

    def build():
        folder = tmp_path_factory.mktemp("docs")
        # Links to the tree, and a copy of docs/ in which no example has been executed.
        for entry in REPO.iterdir():
            if not entry.name.startswith(".") and entry.name != "docs":
                (folder / entry.name).symlink_to(entry)
        made = shutil.ignore_patterns("examples", "__pycache__")
        shutil.copytree(REPO / "docs", folder / "docs", ignore=made)
        builder = [sys.executable, "-W", "ignore", "-m", "sphinx", "-b", "html", "-W", "-q"]
        process = subprocess.run(
            [*builder, "--keep-going", "-d", folder / "trees", folder / "docs", folder / "site"],
            cwd=folder,
            env=tool_env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return folder / "site"

    return made_once(tmp_path_factory, "site", build)
