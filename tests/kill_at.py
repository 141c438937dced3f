"""Run a Python program that kills itself at its n-th file event below a folder.

``python tests/kill_at.py N FOLDER PROGRAM [ARGUMENTS]``. Events are what changes the folder: a file
opened for writing, renamed or removed, a folder made. The program is killed before the event, by
SIGKILL, so that nothing of Python's own clean-up happens. With N = 0 it runs to its end, and the
number of events is its last line of error output.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

_EVENTS = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.link", "os.symlink"}


def main() -> None:
    number, folder, program = int(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3]
    events = []

    def changes(event: str, arguments: tuple) -> bool:
        if event == "open":
            path, _, flags = arguments
            return isinstance(path, str) and bool(flags & (os.O_WRONLY | os.O_RDWR)) and below(path)
        return event in _EVENTS and any(map(below, arguments[:2]))

    def below(path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        # A link is changed itself, not what it leads to.
        where = Path(os.fsdecode(path))
        return folder in (where.parent.resolve() / where.name).parents

    def watch(event: str, arguments: tuple) -> None:
        if os.getpid() == here and changes(event, arguments):
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
