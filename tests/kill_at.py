"""Run a Python program that kills itself at its n-th file event below a folder.

``python tests/kill_at.py N FOLDER PROGRAM [ARGUMENTS]``. Events are the changes of
:mod:`trials.file_events`. The program is killed before the event, by SIGKILL, so that nothing of
Python's own clean-up happens. With N = 0 it runs to its end, and the number of events is its last
line of error output.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

from trials.file_events import is_change


def main() -> None:
    number, folder, program = int(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3]
    events = []

    def watch(event: str, arguments: tuple) -> None:
        if os.getpid() == here and is_change(event, arguments, folder):
            events.append(event)
            if len(events) == number:
                os.kill(here, signal.SIGKILL)

    here = os.getpid()
    sys.addaudithook(watch)
    sys.argv = sys.argv[3:]
    sys.path[0] = str(Path(program).resolve().parent)
    try:
        runpy.run_path(program, run_name="__main__")
    finally:
        print(len(events), file=sys.stderr)


if __name__ == "__main__":
    main()
