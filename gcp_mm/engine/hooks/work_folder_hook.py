"""One training at a time in a work folder, for runners that other tools start."""

from __future__ import annotations

import weakref
from contextlib import ExitStack

from mmengine.hooks import Hook
from mmengine.runner import Runner

from gcp_mm.engine.first_process import on_first_process
from gcp_mm.engine.work_folder import only_training
from gcp_mm.registry import HOOKS


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
        """Take the folder; of several processes the first one does.

        Args:
            runner: The runner about to train.

        Raises:
            UserError: If another training is at work in the folder; in every process.
        """
        on_first_process(lambda: self._stack.enter_context(only_training(runner.work_dir)))

    def after_run(self, runner: Runner) -> None:
        """Give the folder back.

        Args:
            runner: The runner that has trained; or evaluated, which holds nothing.
        """
        self._stack.close()
