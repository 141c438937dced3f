"""What mmengine does at the end of whole runs alone, for those that an error or Ctrl-C ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.logging import print_log
from mmengine.runner import Runner

# Seconds that a visualizer has to write, or send, what it keeps back. Below what the other
# processes of a launcher wait before they speak; see gcp_mm.cli.run_command.
_PATIENCE = 10


@contextmanager
def finished(runner: Runner) -> Iterator[None]:
    """Close what a run has open, if the block ends with an error or is interrupted.

    Hooks that have a method ``after_cut(runner)`` are called, and the visualizer is closed: that of
    TensorBoard keeps up to two minutes of numbers back, those of services send theirs at the end.
    The tools end without the handlers of ``atexit``.

    Args:
        runner: The runner of the run.

    Yields:
        Nothing.
    """
    try:
        yield
    except BaseException:
        runner.call_hook("after_cut")
        _close_visualizer(runner)
        raise


def _close_visualizer(runner: Runner) -> None:
    """Close it, within some seconds; another Ctrl-C ends the waiting."""
    failed: list[str] = []

    def close() -> None:
        try:
            runner.visualizer.close()
        # Of whatever kind: it must not hide the error that ended the run.
        except Exception as error:
            failed.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    if thread.is_alive():
        failed.append(f"not within {_PATIENCE} s")
    if failed:
        print_log(
            f"the visualizer could not be closed ({failed[0]}): its last numbers may be missing",
            logger="current",
        )
