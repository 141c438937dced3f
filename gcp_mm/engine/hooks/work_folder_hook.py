"""One training at a time in a work folder, whoever starts it."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import Runner

from gcp_mm.first_process import on_first_process
from gcp_mm.locks import hold_folder
from gcp_mm.registry import HOOKS

# Of this process: the tool that builds a runner may hold what the runner's hook asks for.
_held: set[str] = set()


@contextlib.contextmanager
def only_training(work_dir: str | Path) -> Iterator[None]:
    """Hold a work folder while a training is at work in it; once in a process, not twice."""
    key = os.path.realpath(work_dir)
    if key in _held:
        yield
        return
    lock = hold_folder(
        work_dir,
        "is being trained in",
        "wait for it, stop it, or choose another folder (--work-dir)",
    )
    with lock:
        _held.add(key)
        try:
            yield
        finally:
            _held.discard(key)


@HOOKS.register_module()
class WorkFolderHook(Hook):
    """Hold the work folder from the beginning of a training to its end.

    The training tool of this project holds it before it builds a runner, and then this hook has
    nothing to do. The tools of mmpretrain and mmdet, which ``mim train`` starts, and one's own
    scripts hold it by this hook: two trainings in one folder remove each other's checkpoints. An
    evaluation may run beside a training, as with the test tool.
    """

    # Before hooks that read or remove what is in the folder.
    priority = "HIGHEST"

    def __init__(self) -> None:
        self._stack = ExitStack()
        # After an error nothing calls the hook: its lock ends with it, or with the process.
        weakref.finalize(self, self._stack.close)

    def before_train(self, runner: Runner) -> None:
        """Take the folder; of several processes the first one does."""
        on_first_process(lambda: self._stack.enter_context(only_training(runner.work_dir)))

    def after_run(self, runner: Runner) -> None:
        """Give the folder back."""
        self._stack.close()
