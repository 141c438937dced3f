"""What a failure of the machine means: a full disk, a folder without rights, a killed worker."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from gcp_mm.errors import FileWriteError
from gcp_mm.files import abbreviate

# What no code of this project can cause or mend; any other error is a bug and keeps its traceback.
_OF_THE_MACHINE = {
    errno.EACCES,
    errno.EADDRINUSE,
    errno.EBADF,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.ELOOP,
    errno.EMFILE,
    errno.ENAMETOOLONG,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
    errno.ESTALE,
}
_REMEDIES = {
    errno.EADDRINUSE: "choose another port (PORT=29501)",
    errno.EBADF: "give the program an output, such as >log 2>&1",
    errno.EMFILE: "allow more (ulimit -n 4096), or use fewer loader workers",
    errno.ELOOP: "remove the link that leads to itself",
    errno.ENOMEM: "use a smaller batch or fewer loader workers",
}
# Errors of a data loader's worker come as text alone.
_IN_A_TEXT = re.compile(r"\[Errno (\d+)\] ([^\n]*)\s*\Z")
_NO_ROOM = re.compile("unable to (write to file </torch_|(open|allocate) shared memory).*")
_KILLED = re.compile(r"DataLoader worker \(pid (\d+)\) is killed by signal: (\w[\w ]*)")
_EXITED = re.compile(r"DataLoader worker \(pid\(s\) ([\d, ]+)\) exited unexpectedly")

_ENDED = (
    "{worker} of the data loader was ended from outside{signal}, most often because the machine "
    "has no memory left: use fewer workers or a smaller batch (--cfg-options "
    "train_dataloader.num_workers=2 train_dataloader.batch_size=N), and see dmesg"
)


def explain(error: BaseException) -> str | None:
    """Say in one line what of the machine made something fail; None if it was not at fault.

    Errors that this one came from count too.
    """
    # Those that hold the number of the system first: others repeat it in a text.
    for cause in sorted(_chain(error), key=lambda cause: getattr(cause, "errno", None) is None):
        text = None
        # A killed worker closes the socket that its batches come through.
        if isinstance(cause, (ConnectionError, EOFError)) and _comes_from_loader(cause):
            text = _ENDED.format(worker="a worker", signal="")
        elif isinstance(cause, OSError):
            text = _of_system(cause)
        elif isinstance(cause, RuntimeError):
            text = _of_worker(str(cause)) or _of_home(str(cause))
        elif isinstance(cause, UnicodeEncodeError) and cause.encoding == "ascii":
            text = (
                f"{cause.object!r} has letters that this locale has not (LC_ALL="
                f"{os.environ.get('LC_ALL', '')}): set LC_ALL=C.UTF-8, or PYTHONUTF8=1"
            )
        if text:
            return text
    return None


# What libraries raise while they handle a failure of the system.
_FOLLOWING = (OSError, RuntimeError, EOFError)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        # A mistake of the code while an error was handled is a mistake of the code.
        is_own = error.__suppress_context__ or not isinstance(error, _FOLLOWING)
        error = error.__cause__ or (None if is_own else error.__context__)


def _of_system(error: OSError) -> str | None:
    """Explain an error of the system, with the file or else the full disks."""
    if "No usable temporary directory" in str(error):
        folders = f"TMPDIR={os.environ['TMPDIR']}, " if os.environ.get("TMPDIR") else ""
        return (
            f"there is no folder for temporary files that can be written to ({folders}/tmp, "
            "/var/tmp and the working folder were tried): set TMPDIR to one"
        )
    if error.errno is None:
        found = _IN_A_TEXT.search(str(error))
        if found is None:
            return None
        error = OSError(int(found[1]), found[2])
    path = error.filename
    if error.errno not in _OF_THE_MACHINE and not (error.errno == errno.EEXIST and path):
        return None
    what = f"{os.fsdecode(path)!r}" if isinstance(path, (str, bytes)) else _full_places(error)
    told = str(FileWriteError.of(error, what))
    remedy = _REMEDIES.get(error.errno)
    return f"{told}; {remedy}" if remedy else told


def _full_places(error: OSError) -> str:
    """Name the full file systems that the command line speaks of, for an error without a name."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return "the system refuses"
    words = [part for word in sys.argv[1:] for part in (word, word.partition("=")[2]) if part]
    places = []
    for word in [*words, "work_dirs", "."]:
        with contextlib.suppress(OSError, ValueError):
            path = Path(word).absolute()
            while not path.is_dir():
                path = path.parent
            if os.statvfs(path).f_bavail == 0 and str(path) not in places:
                places.append(str(path))
    with contextlib.suppress(OSError):
        if os.statvfs(tempfile.gettempdir()).f_bavail == 0:
            places.append(tempfile.gettempdir())
    return f"the disk of {' and of '.join(map(repr, places))} is full" if places else "a disk"


def _of_worker(text: str) -> str | None:
    """Explain the end of a data loader's worker."""
    if "insufficient shared memory" in text or "Bus error" in text:
        return (
            "a worker of the data loader ran out of shared memory (/dev/shm): give the container "
            "more (docker run --ipc=host, or --shm-size=8g), or use no workers (--cfg-options "
            "train_dataloader.num_workers=0 train_dataloader.persistent_workers=False)"
        )
    if full := _NO_ROOM.search(text):
        return (
            f"{full[0]}: /dev/shm is full or missing: give the container more of it (docker run "
            "--ipc=host, or --shm-size=1g)"
        )
    found = _KILLED.search(text) or _EXITED.search(text)
    if found is None:
        return None
    signal = f" ({found[2].strip()})" if found.re is _KILLED else ""
    return _ENDED.format(worker=f"worker {found[1]}", signal=signal)


def _of_home(text: str) -> str | None:
    """Explain pathlib's error for a path below a home that the system does not know."""
    if text != "Could not determine home directory.":
        return None
    words = (word.partition("=")[2] or word for word in sys.argv[1:])
    named = [word for word in words if word.startswith("~")]
    where = f" ({abbreviate(named)})" if named else ""
    return f"a path begins with ~{where}, and the system knows no such home: write the path in full"


def _comes_from_loader(error: BaseException) -> bool:
    """Say whether a data loader was waiting for a batch."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(
        frame.f_globals.get("__name__") == "torch.utils.data.dataloader" for frame, _ in frames
    )
