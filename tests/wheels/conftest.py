"""The archives that are built from the tree, and an environment with nothing but the wheel."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mim_packages import mim_source
from suite import made_once
from warm_python import warm_python

# What a source archive is made of; the rest of a working copy are data, results and caches.
FOLDERS = ("benchmarks", "configs", "docs", "gcp_mm", "requirements", "tests", "tools")


def below(root: Path, *folders: str, suffix: str = "") -> set[str]:
    """Return the files in folders of the tree, as paths from its root."""
    return {
        path.relative_to(root).as_posix()
        for folder in folders
        for path in (root / folder).rglob(f"*{suffix}")
        if path.is_file() and not {"__pycache__", ".mim"} & set(path.parts) and path.suffix != ".so"
    }


@pytest.fixture(scope="session")
def sdist(run_tool, repo, tmp_path_factory):
    """Build the source archive from a copy of the tree."""

    def build():
        folder = tmp_path_factory.mktemp("sdist")
        tree = folder / "tree"
        tree.mkdir()
        skip = shutil.ignore_patterns("__pycache__", ".mim")
        for name in FOLDERS:
            shutil.copytree(repo / name, tree / name, ignore=skip)
        for path in repo.iterdir():
            if path.is_file():
                shutil.copy(path, tree)
        code = f"from setuptools.build_meta import build_sdist; build_sdist({str(folder)!r})"
        process = run_tool("-c", code, cwd=tree)
        assert process.returncode == 0, process.stdout + process.stderr
        (path,) = folder.glob("*.tar.gz")
        return path

    return made_once(tmp_path_factory, "sdist", build)


@pytest.fixture(scope="session")
def build_wheel(sdist, run_tool, tmp_path_factory):
    """Return a function that builds a wheel from the source archive, without an index."""
    pytest.importorskip("pip")

    def build(**env: str) -> Path:
        folder = tmp_path_factory.mktemp("wheel")
        process = run_tool(
            *("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"),
            *("--disable-pip-version-check", "-w", folder, sdist),
            **env,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        (path,) = folder.glob("*.whl")
        return path

    return build


@pytest.fixture(scope="session")
def wheel_file(build_wheel, tmp_path_factory):
    """Build the wheel."""
    return made_once(tmp_path_factory, "wheel", build_wheel)


@pytest.fixture(scope="session")
def wheel(wheel_file):
    """Return the wheel, opened."""
    with zipfile.ZipFile(wheel_file) as archive:
        yield archive


@pytest.fixture(scope="session")
def site(wheel, tmp_path_factory):
    """Return a folder with the wheel, as ``pip install --target`` leaves it."""

    def extract():
        folder = tmp_path_factory.mktemp("site")
        wheel.extractall(folder)
        return folder

    return made_once(tmp_path_factory, "site", extract)


@pytest.fixture(scope="session")
def bare(wheel_file, tool_env, tmp_path_factory):
    """Install the wheel into a new environment; return a function that runs a command of it.

    The packages it needs are those of this environment, behind its own: nothing is downloaded.
    Its attribute ``warm`` does the same in processes of warm_python.py, of that environment.
    """

    def install():
        folder = tmp_path_factory.mktemp("bare")
        python = folder / "env/bin/python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
        (packages,) = (folder / "env").glob("lib/python*/site-packages")
        here = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        # Paths that such a file adds are not searched for more of them: no editable install
        # comes in.
        (packages / "stack.pth").write_text("\n".join(here))
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet"),
                *("--no-deps", "--no-index", "--disable-pip-version-check", wheel_file),
            ],
            check=True,
        )
        return folder, python, packages

    folder, python, packages = made_once(tmp_path_factory, "bare", install)
    env = {name: value for name, value in tool_env.items() if name != "PYTHONPATH"}
    env["PATH"] = f"{python.parent}{os.pathsep}{env['PATH']}"
    warm_python_here, lease = warm_python(folder, env, interpreter=str(python))
    # Before the interpreter, where mim looks for `python`.
    warm_env = {**env, "PATH": f"{Path(warm_python_here).parent}{os.pathsep}{env['PATH']}"}

    def start(env: dict[str, str], words: list, cwd: Path) -> subprocess.CompletedProcess:
        return subprocess.run(
            list(map(str, words)),
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def run(name, *arguments, cwd: Path = folder, **more: str) -> subprocess.CompletedProcess:
        return start({**env, **more}, [python.with_name(name), *arguments], cwd)

    def warm(name, *arguments, cwd: Path = folder, **more: str) -> subprocess.CompletedProcess:
        program = [] if name == "python" else [python.with_name(name)]
        return start({**warm_env, **more}, [warm_python_here, *program, *arguments], cwd)

    run.packages, run.warm = packages, warm
    yield run
    if lease:
        lease.close()


@pytest.fixture
def finds_wheels():
    """Skip where mim takes the first file of an installation to be in its package's folder.

    The maintained fork does, and that file is in gcp_mm-*.dist-info; it finds an editable install.
    """
    if "dist.files[0]" in mim_source("utils/utils.py").read_text():
        pytest.skip("this mim finds gcp_mm in an editable install only")
