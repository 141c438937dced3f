"""How the suite is run: how many workers, which tests are the quick ones, what is read once.

A test is marked ``process`` if it, a fixture that it uses, or a helper of these names subprocess or
multiprocessing, and ``training`` if one of them names the function, the class or the tool that
trains. There is no list to keep: where these are left out, a test that starts a program or trains
fails; if the code does not show it, the mark is written down. ``gpu`` is written down too
(tests/ops/devices.py): such a test is skipped where there is none.
"""

import fcntl
import functools
import gc
import inspect
import logging
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TypeVar

import pytest
import torch
import wrapt

# Of a worker that has imported the whole stack, and of the processes that its tests start.
WORKER_BYTES = 3 * 2**30
TRAINING = (("gcp_mm.engine.runner", "train"), ("mmengine.runner.runner", "Runner"))
TRAINING_TOOL = "tools/train.py"
STARTING = ("subprocess", "multiprocessing", "torch.multiprocessing")
LONG = ("process", "training", "slow")
SITE = "site"  # the fixture of tests/docs that takes longest
NO_GPU = "it needs an NVIDIA GPU"
FOREIGN = ("gcp_mm", "torch", "mm", "numpy", "_pytest", "pytest", "builtins")
# What libraries ask for versions (mmengine's environment, torch's compiler): no part of a test.
ASKED_FOR_VERSIONS = ("sh", "gcc", "g++", "c++", "cc", "git", "ldconfig", "nvcc", "uname", "which")
# See mallopt(3). By default, what a network frees goes back to the system, which zeroes the pages
# when the next one takes them: of 121 s of CPU in two rooms with large networks, that took 22.
KEPT_BYTES = 2**32
KEEPING = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
LONG_COLLECTION = 0.05  # seconds
_collection = {"start": 0.0, "seconds": 0.0}
_current: list[pytest.Item] = []
Made = TypeVar("Made")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers ``-n auto`` means: one a core, and no more than memory holds.

    Three on two cores took 161 s where two took 147.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return cores
    sizes = dict(line.split(":") for line in meminfo.read_text().splitlines())
    available = int(sizes["MemAvailable"].split()[0]) * 1024
    return max(1, min(cores, available // WORKER_BYTES))


def keep_freed_memory() -> None:
    """Let the workers, which are started after this, keep the memory that they free."""
    for name in KEEPING:
        os.environ.setdefault(name, str(KEPT_BYTES))


def leave_compiler_unlogged() -> None:
    """Let torch's compiler write no record of each of its steps, which nobody reads.

    It writes them if its logger has a handler, and pytest adds its own to what does not propagate.
    """
    logger = logging.getLogger("torch.__trace")
    logger.handlers.clear()
    logger.propagate = True


def folder_of_session(factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all workers of a session have in common."""
    folder = factory.getbasetemp()
    # Not where a test runs pytest, which inherits the variable.
    if folder.name == f"popen-{os.environ.get('PYTEST_XDIST_WORKER')}":
        folder = folder.parent
    return folder


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[], Made]) -> Made:
    """Return what a function makes, usually files: the first worker of a session calls it."""
    folder = folder_of_session(factory)
    # Fixtures of two rooms may have one name.
    name = f"{make.__module__}.{name}"
    result = folder / f"{name}.pickle"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            result.write_bytes(pickle.dumps(make()))
    return pickle.loads(result.read_bytes())


def _mentioned(function: FunctionType, seen: set) -> Iterator[object]:
    """Generate what a function, and the helpers of the tests that it names, look up or spell."""
    if function in seen:
        return
    seen.add(function)
    codes = [function.__code__]
    for code in codes:  # with the functions inside it, which are found on the way
        codes += [part for part in code.co_consts if isinstance(part, CodeType)]
        for part in code.co_consts:
            yield from part if isinstance(part, tuple) else [part]
        for name in code.co_names:
            value = function.__globals__.get(name)
            yield value
            if str(getattr(value, "__module__", "gcp_mm")).startswith(FOREIGN):
                continue
            members = vars(value).values() if isinstance(value, type) else [value]
            helpers = (inspect.unwrap(member) for member in members if callable(member))
            for helper in filter(inspect.isfunction, helpers):
                yield from _mentioned(helper, seen)


@functools.cache
def _kinds_of(function: FunctionType) -> frozenset[str]:
    """Return the marks of what a test or a fixture mentions."""
    found = set()
    for value in _mentioned(function, set()):
        if inspect.ismodule(value) and value.__name__ in STARTING:
            found.add("process")
        elif isinstance(value, str) and value == TRAINING_TOOL:
            found.add("training")
        elif (getattr(value, "__module__", ""), getattr(value, "__name__", "")) in TRAINING:
            found.add("training")
    return frozenset(found)


def _kinds(item: pytest.Function) -> set[str]:
    """Return the marks of a test, of its own and those of the fixtures in its closure."""
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    functions = [item.function, *(fixture.func for found in fixtures for fixture in found)]
    return set().union(*map(_kinds_of, filter(inspect.isfunction, functions)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make test-quick` asks for."""
    parser.addoption("--one-case", action="store_true", help="one case of each test")


def one_case(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the first case of each test: of shuffled ones, another one each time."""
    found: dict[str, pytest.Item] = {}
    for item in items:
        found.setdefault(item.nodeid.partition("[")[0], item)
    return list(found.values())


def long_files_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Begin the share of each worker with files of long tests, in the order in which they come.

    A worker that begins with them last keeps the others waiting at the end. Each gets a part of
    equal length first (``--dist worksteal``), and files stay whole for what their tests share.
    Those that look at the site come together at the very beginning: another worker would wait for
    it as long as it takes to build.
    """

    def file(item: pytest.Item) -> str:
        return item.nodeid.partition("::")[0]

    long = {file(item) for item in items if any(map(item.get_closest_marker, LONG))}
    groups = [[item for item in items if (file(item) in long) == first] for first in (True, False)]
    groups[0].sort(key=lambda item: SITE not in getattr(item, "fixturenames", ()))
    return [
        item
        for part in range(workers)
        for group in groups
        for item in group[len(group) * part // workers : len(group) * (part + 1) // workers]
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that start processes and those that train; skip those that have no GPU."""
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason=NO_GPU))
        if isinstance(item, pytest.Function):
            for kind in _kinds(item):
                item.add_marker(kind)
    if config.getoption("one_case"):
        kept = one_case(items)
        others = set(items).difference(kept)
        config.hook.pytest_deselected(items=list(others))
        items[:] = kept
    items[:] = long_files_first(items, getattr(config, "workerinput", {}).get("workercount", 1))


def pytest_collection_finish() -> None:
    """Let the garbage collector, which mmengine calls for each data set, pass by the libraries."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Know which test it is that starts a program, where these are left out."""
    if item.config.option.markexpr:
        _current.append(item)
    result = yield
    _current.clear()
    _pass_by_what_stays()
    return result


def _time_collection(phase: str, info: dict) -> None:
    """Measure the last collection of all objects, as a callback of the collector."""
    if info["generation"] == 2:
        now = time.process_time()
        _collection["seconds"] = now - _collection["start"] if phase == "stop" else 0.0
        _collection["start"] = now


def _pass_by_what_stays() -> None:
    """Let the collector pass by what is left after a test, once it takes long to look at it.

    What tests import and keep for each other grows to ten times of what a test makes.
    """
    if _collection["seconds"] > LONG_COLLECTION:
        gc.collect()
        gc.freeze()
        _collection["seconds"] = 0.0


gc.callbacks.append(_time_collection)


def _require(kind: str, what: str) -> None:
    """Fail a test that does what it has no mark for."""
    if _current and not any(map(_current[0].get_closest_marker, {kind, "process"})):
        raise AssertionError(f"{what} in a test that is not marked {kind!r} (see tests/suite.py)")


def _watch(event: str, arguments: tuple) -> None:
    """Look at each program that is started, as an audit hook."""
    if event == "subprocess.Popen":
        program = Path(str(arguments[0] or arguments[1][0])).name
        if program not in ASKED_FOR_VERSIONS:
            _require("process", f"{program} is started")


def _watch_training(module: ModuleType) -> None:
    """Look at each training of mmengine."""
    train = module.Runner.train

    @functools.wraps(train)
    def watched(self: object) -> object:
        _require("training", "a network is trained")
        return train(self)

    module.Runner.train = watched


sys.addaudithook(_watch)
wrapt.register_post_import_hook(_watch_training, "mmengine.runner.runner")
