"""Starts `gcp-mm reproduce` many times without importing OpenMMLab as often.

``python parents.py`` imports all of it, and starts the server that the runs of a plan are forked
from. Each line of the input, ``{"words": [...], "output": file}``, forks a process that does what
the command would, with that server, and answers with its number; ``{"wait": number}`` answers with
its exit code, negative for a signal.
"""

import json
import os
import signal
import sys
from multiprocessing import forkserver, get_context

from gcp_mm.reproduction.worker import _PRELOAD


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


def serve() -> None:
    """Read what is asked for."""
    os.environ["OMP_NUM_THREADS"] = "1"
    get_context("forkserver").set_forkserver_preload(_PRELOAD)
    forkserver.ensure_running()
    # It is not a child of the processes that use it.
    forkserver._forkserver.ensure_running = lambda: None
    import gcp_mm.reproduction.report
    import gcp_mm.reproduction.run  # noqa: F401

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
