"""The site of docs/, built once for all workers."""

import shutil
from pathlib import Path

import pytest
from shared_folder import REPO
from suite import made_once

# `python -W ignore -m sphinx`, for a Python that has begun already. Sphinx makes nodes by the
# hundred thousand, which the collector would look through again and again and keep. sphinx-gallery
# and mmengine even call it.
SPHINX = """
import gc, runpy, warnings
gc.disable()
gc.collect = lambda *_: 0
warnings.simplefilter("ignore")
runpy.run_module("sphinx", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory, run_warm) -> Path:
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
        options = ("-b", "html", "-W", "-q", "--keep-going", "-d", folder / "trees")
        folders = (folder / "docs", folder / "site")
        process = run_warm("-c", SPHINX, *options, *folders, cwd=folder, timeout=1200)
        assert process.returncode == 0, process.stderr
        return folder / "site"

    return made_once(tmp_path_factory, "site", build)
