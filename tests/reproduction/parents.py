"""Starts `gcp-mm reproduce` many times without importing OpenMMLab as often.

``python parents.py`` imports all of it once, also for the server that the runs of a plan are forked
from: that is forked from it in turn. Each line of the input, ``{"words": [...], "output": file}``,
forks a process that does what the command would, with that server, and answers with its number;
``{"wait": number}`` answers with its exit code, negative for a signal.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing import forkserver, get_context, resource_tracker, util
from pathlib import Path

from gcp_mm.reproduction.worker import _PRELOAD

# To find it, mmengine reads the metafiles of mmpretrain, 85 of them.
CONFIG = "_base_ = 'mmpretrain::_base_/default_runtime.py'"


def command(words: list[str], output: str) -> None:
    """Be the program."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    descriptor = os.open(output, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666)
    null = os.open(os.devnull, os.O_RDONLY)
    for number, source in enumerate((null, descriptor, descriptor)):
        os.dup2(source, number)
    sys.argv = ["gcp-mm", "reproduce", *words]
    from gcp_mm.cli.reproduce import main

    main(words, "gcp-mm reproduce")
    sys.stdout.flush()
    os._exit(0)


def fork_program(_: str, words: Sequence[bytes | str], passed: Sequence[int]) -> int:
    """Run the program of ``python -c program`` in a fork, in place of util.spawnv_passfds."""
    pid = os.fork()
    if pid:
        return pid
    try:
        for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
            if number > 2 and number not in passed:
                with contextlib.suppress(OSError):
                    os.close(number)
        exec(os.fsdecode(words[-1]), {})
    finally:
        os._exit(0)


def serve() -> None:
    """Read what is asked for."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import libraries_once  # noqa: F401

    for name in (*_PRELOAD, "gcp_mm.reproduction.report", "gcp_mm.reproduction.run"):
        importlib.import_module(name)
    from mmengine.config import Config

    Config.fromstring(CONFIG, ".py")
    gc.freeze()
    resource_tracker.ensure_running()
    get_context("forkserver").set_forkserver_preload([])
    spawn, util.spawnv_passfds = util.spawnv_passfds, fork_program
    forkserver.ensure_running()
    util.spawnv_passfds = spawn
    # It is not a child of the processes that use it.
    forkserver._forkserver.ensure_running = lambda: None
    print(json.dumps(os.getpid()), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            _, status = os.waitpid(asked["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if not answer:
                try:
                    command(asked["words"], asked["output"])
                finally:
                    os._exit(1)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
