"""How the suite is run: how many workers, which tests are the quick ones, what is read once.

A test is marked ``process`` if it, a fixture that it uses, or a helper of these names subprocess or
multiprocessing. There is no list to keep: a test without the mark that starts a program fails.
"""

import functools
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest
import wrapt

# Of a worker that has imported the whole stack, and of the processes that its tests start.
WORKER_BYTES = 3 * 2**30
STARTING = ("subprocess", "multiprocessing", "torch.multiprocessing")
FOREIGN = ("gcp_mm", "torch", "mm", "numpy", "_pytest", "pytest", "builtins")
# What libraries ask for versions (mmengine's environment, torch's compiler): no part of a test.
ASKED_FOR_VERSIONS = ("gcc", "g++", "c++", "cc", "git", "ldconfig", "nvcc", "uname", "which")
_current: list[pytest.Item] = []


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers ``-n auto`` means: one a core, and no more than memory holds."""
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


def _names(code: CodeType) -> set[str]:
    """Return the names that code and the functions inside it look up."""
    inner = (_names(part) for part in code.co_consts if isinstance(part, CodeType))
    return set(code.co_names).union(*inner)


def _reaches_processes(function: FunctionType, seen: set) -> bool:
    """Whether a function names a module that starts processes, or a function that does."""
    if function in seen:
        return False
    seen.add(function)
    for name in _names(function.__code__):
        value = function.__globals__.get(name)
        if getattr(value, "__name__", None) in STARTING:
            return True
        # Of the tests, and not of what they test.
        if not str(getattr(value, "__module__", "gcp_mm")).startswith(FOREIGN):
            members = vars(value).values() if isinstance(value, type) else [value]
            functions = (inspect.unwrap(member) for member in members if callable(member))
            if any(_reaches_processes(one, seen) for one in functions if inspect.isfunction(one)):
                return True
    return False


def _starts_processes(item: pytest.Function) -> bool:
    """Whether a test or a fixture in its closure reaches a module that starts processes."""
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    functions = [item.function, *(fixture.func for found in fixtures for fixture in found)]
    seen: set = set()
    return any(_reaches_processes(one, seen) for one in functions if inspect.isfunction(one))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start processes."""
    for item in items:
        if isinstance(item, pytest.Function) and _starts_processes(item):
            item.add_marker(pytest.mark.process)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Know which test it is that starts a program."""
    _current.append(item)
    result = yield
    _current.clear()
    return result


def _refuse_unmarked(event: str, arguments: tuple) -> None:
    """Fail a test that starts a program and has no mark, as an audit hook."""
    if event != "subprocess.Popen" or not _current:
        return
    program = Path(str(arguments[0] or arguments[1][0])).name
    if program not in ASKED_FOR_VERSIONS and not _current[0].get_closest_marker("process"):
        raise AssertionError(f"{program} is started by a test without mark (see tests/suite.py)")


sys.addaudithook(_refuse_unmarked)


def _read_metafiles_once(module: ModuleType) -> None:
    """Let mmengine.config.utils read a metafile again only if it has changed.

    It reads all those of a package, about a hundred, for each ``package::config``.
    """
    load = module.load

    @functools.cache
    def load_version(path: str, changed: int) -> object:
        return load(path)

    module.load = lambda path: load_version(path, Path(path).stat().st_mtime_ns)


def _ask_once_for_packages(module: ModuleType) -> None:
    """Let mmengine.config.config, which lists all distributions anew, ask for a package once."""
    module.is_installed = functools.cache(module.is_installed)


wrapt.register_post_import_hook(_read_metafiles_once, "mmengine.config.utils")
wrapt.register_post_import_hook(_ask_once_for_packages, "mmengine.config.config")
