"""Fixtures for every test."""

import errno
import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import libraries_once  # noqa: F401
import numpy as np
import pytest
import torch
from in_browser import browser, show
from PIL import Image
from shared_folder import NO_SHARED, PEERS, PEERS_LOCK, REPO, SHARED
from suite import (
    folder_of_session,
    keep_freed_memory,
    leave_compiler_unlogged,
    made_once,
    pytest_addoption,
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_runtest_protocol,
    pytest_xdist_auto_num_workers,
)
from tiny_runs import CLASSIFIER, forget_runs, write_config
from warm_python import warm_python

__all__ = [
    "browser",
    "pytest_addoption",
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_runtest_protocol",
    "pytest_xdist_auto_num_workers",
    "show",
]


def pytest_configure():
    """Compute with one thread: on small tensors, waiting for another one takes longer."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    keep_freed_memory()
    leave_compiler_unlogged()


@pytest.fixture(autouse=True)
def environment():
    """Give the next test the environment that this one found: tools set it for their children."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(NO_SHARED)
    return SHARED


@pytest.fixture(scope="session")
def peers() -> Path:
    """Return the folder of packages that the stack cannot have, for this Python."""
    lock = PEERS / "peers.txt"
    if not lock.is_file() or lock.read_text() != PEERS_LOCK.read_text():
        pytest.skip(f"{PEERS} is not that of {PEERS_LOCK.name}: `make peers` installs it")
    return PEERS


@pytest.fixture(scope="session")
def worst():
    """Largest error relative to the largest expected number, over arrays or tensors."""

    def float64(array):
        if hasattr(array, "detach"):
            array = array.detach().double().cpu()
        return np.asarray(array, "float64")

    def error(found, expected) -> float:
        found, expected = float64(found), float64(expected)
        assert found.shape == expected.shape
        return float(np.abs(found - expected).max() / np.abs(expected).max())

    return error


@pytest.fixture(scope="session")
def tool_env() -> dict[str, str]:
    """Return the environment of a tool in a subprocess: one thread, no GPU, this interpreter."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    # Without bytecode, importing OpenMMLab takes three times as long.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**env, "PYTHON": sys.executable}


def runner(tool_env: dict[str, str], python: str) -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs a command, whose Python programs a Python runs."""

    def run(*command, cwd: Path = REPO, timeout: float = 300, **env: str):
        command = [str(part) for part in command]
        if command[0].endswith(".py") or command[0].startswith("-"):
            command.insert(0, python)
        return subprocess.run(
            command,
            cwd=cwd,
            env={**tool_env, **env},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def run_tool(tool_env) -> Callable[..., subprocess.CompletedProcess]:
    """Run a command, by default in the repository; a name that ends in .py runs under Python."""
    return runner(tool_env, sys.executable)


@pytest.fixture(scope="session")
def warm_env(tool_env, tmp_path_factory):
    """Return the environment of a tool, with the Python of warm_python.py in place of this one."""
    python, lease = warm_python(folder_of_session(tmp_path_factory), tool_env)
    yield {**tool_env, "PYTHON": python}
    if lease:
        lease.close()


@pytest.fixture(scope="session")
def run_warm(warm_env) -> Callable[..., subprocess.CompletedProcess]:
    """Run a command as ``run_tool`` does, where it does not matter how its process began."""
    return runner(warm_env, warm_env["PYTHON"])


@pytest.fixture(scope="session")
def loaded_env(warm_env, tmp_path_factory):
    """Return the same with a Python that has imported OpenMMLab and this project as well."""
    folder = folder_of_session(tmp_path_factory) / "loaded"
    folder.mkdir(exist_ok=True)
    libraries = (str(REPO), str(REPO / "tests"), "whole_stack")
    python, lease = warm_python(folder, warm_env, libraries, start=warm_env["PYTHON"])
    yield {**warm_env, "PYTHON": python}
    if lease:
        lease.close()


@pytest.fixture(scope="session")
def run_loaded(loaded_env) -> Callable[..., subprocess.CompletedProcess]:
    """Run a command as ``run_warm`` does, where no import of the stack is tested either.

    Another test has to start the program without: here it finds what it forgot to import.
    """
    return runner(loaded_env, loaded_env["PYTHON"])


@pytest.fixture
def start_python(tool_env):
    """Start a program, given as text; it is killed at the end."""
    started = []

    def start(text, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", text, *map(str, arguments)],
            env=tool_env,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def log(caplog):
    """Return what was told to mmengine's logger, which passes nothing on to Python's."""
    # Here, because the tests of gcp_mm.ops need no OpenMMLab.
    from mmengine.logging import MMLogger

    def told(level: int = logging.WARNING) -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno >= level]

    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield told
    logger.removeHandler(caplog.handler)


@pytest.fixture
def kept_scope():
    """Give the next test the default scope of the registries that this one found."""
    from mmengine.registry import DefaultScope

    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


@pytest.fixture
def without_locks(monkeypatch):
    """Work on a file system that has no locks."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(descriptor, operation):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.fixture
def call_tool(monkeypatch, capfd) -> Callable[..., tuple[int, str, str]]:
    """Run a Python tool in this process, for its exit code, output and error output."""

    here, leave_at_once = os.getpid(), os._exit

    def leave(code):
        # A forked worker of a data loader has to end, not to go on with the test.
        if os.getpid() != here:
            leave_at_once(code)
        raise SystemExit(code)

    def call(tool: str, *arguments: object, cwd: Path = REPO) -> tuple[int, str, str]:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", [tool, *map(str, arguments)])
        monkeypatch.setattr(os, "_exit", leave)
        code = 0
        try:
            runpy.run_path(tool, run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        finally:
            forget_runs()
        return code, *capfd.readouterr()

    return call


@pytest.fixture(scope="session")
def class_folders(tmp_path_factory) -> Path:
    """Three classes of random images, 32 x 32: train has 16 of them, val 7."""

    def write():
        root = tmp_path_factory.mktemp("class_folders")
        rng = np.random.default_rng(0)
        for split, number in (("train", 16), ("val", 7)):
            for index in range(number):
                label = index % 3
                # Classes differ in brightness, so that there is something to learn.
                pixels = rng.integers(80 * label, 80 * label + 96, (32, 32, 3), dtype=np.uint8)
                path = root / split / f"class_{label}" / f"{index:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
        write_config(root / "tiny_gcp.py", CLASSIFIER, repo=REPO, data=root)
        return root

    return made_once(tmp_path_factory, "class_folders", write)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory) -> Path:
    """A detection data set in COCO's layout: 4 images to train on, 2 to evaluate."""
    demo = pytest.importorskip("demo")
    root = tmp_path_factory.mktemp("coco") / "scenes"
    demo.write_scenes(root, num_train=4, num_val=2, image_size=(96, 96))
    return root


@pytest.fixture(scope="session")
def classifier(class_folders) -> Path:
    """Return the config of a small GCP classifier."""
    return class_folders / "tiny_gcp.py"


@pytest.fixture(scope="session")
def trained(run_tool, classifier, tmp_path_factory):
    """Return the work folder and the process of training the classifier without interruption."""

    def train():
        work_dir = tmp_path_factory.mktemp("trained")
        process = run_tool("tools/train.py", classifier, "--work-dir", work_dir)
        assert process.returncode == 0, process.stderr
        return work_dir, process

    return made_once(tmp_path_factory, "trained", train)


@pytest.fixture(scope="session")
def trained_otherwise(run_warm, classifier, tmp_path_factory):
    """Return the same of an epoch with --verbose, and without pkgutil.find_loader (Python 3.14)."""

    def train():
        folder = tmp_path_factory.mktemp("trained_otherwise")
        (folder / "train.py").write_text(
            "import pkgutil, runpy\n"
            "if hasattr(pkgutil, 'find_loader'):\n"
            "    del pkgutil.find_loader\n"
            "runpy.run_path('tools/train.py', run_name='__main__')\n"
        )
        options = ["--work-dir", folder, "--verbose", "--cfg-options", "train_cfg.max_epochs=1"]
        process = run_warm(folder / "train.py", classifier, *options)
        assert process.returncode == 0, process.stderr
        return folder, process

    return made_once(tmp_path_factory, "trained_otherwise", train)


def pytest_generate_tests(metafunc):
    """Run a test that asks for ``golden_layer`` once for each recorded pooling layer."""
    if "golden_layer" in metafunc.fixturenames:
        files = sorted(SHARED.glob("golden/layer_*.npz"))
        absent = pytest.param(None, marks=pytest.mark.skip(reason=NO_SHARED), id="absent")
        metafunc.parametrize(
            "golden_layer", [pytest.param(path, id=path.stem) for path in files] or [absent]
        )


@pytest.fixture
def impatient(monkeypatch):
    """Show a bar also of work that is short."""
    from gcp_mm.console import progress

    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
