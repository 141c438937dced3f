"""Locks: a file or a folder is written by one process at a time.

Imports the standard library alone, because tools that need no torch use it too.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import re
import shlex
import socket
import sys
import time
from pathlib import Path

from gcp_mm.errors import FileHeldError, FileWriteError

# None on Windows, where gcp_mm.ops alone is used.
fcntl = importlib.import_module("fcntl") if importlib.util.find_spec("fcntl") else None

# A file that another process takes away meanwhile is tried again; where a file system gives an open
# file and its name different numbers (CIFS with noserverino, some of FUSE), it always seems so.
TRIES = 100
# What a file system without locks answers, such as Lustre in its default mount; NFS answers EBADF
# for a file that is open to read alone.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file without waiting; None where the file system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Say whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


# Descriptors of locks of this process. A child that is forked, such as the worker of a data loader,
# would keep them: it may outlive a parent that was killed.
_held: set[int] = set()


def _forget_in_child() -> None:
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


class Lock:
    """The right of one process to write a file or a folder, until it ends in whatever way.

    ``with hold_folder(...)`` takes it; :meth:`acquire` and :meth:`release` do without a block. The
    lock file states the holder and is removed by it. One that a killed process left blocks nobody.

    Args:
        path: The lock file; its folder is made if needed.
        claim: What the holder does with what, such as "'out.json' is being written".
        advice: What to do if another process holds it.
    """

    def __init__(self, path: str | os.PathLike[str], claim: str, advice: str) -> None:
        self.path, self._claim, self._advice = Path(path), claim, advice
        self._descriptor: int | None = None

    def acquire(self) -> Lock:
        """Take the lock, or say who has it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, tries = None, 0
            while descriptor is None:
                tries += 1
                descriptor = self._take(certain=tries < TRIES)
            self._descriptor = descriptor
            os.ftruncate(descriptor, 0)
            # Names of files on the command line need not be text.
            os.write(descriptor, _describe_process().encode(errors="replace"))
        except OSError as error:
            self.release()
            raise FileWriteError.of(error, f"{str(self.path)!r} cannot be written") from error
        _held.add(descriptor)
        return self

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        _held.discard(descriptor)
        # While it is locked: nobody else can have taken the name.
        with contextlib.suppress(OSError):
            if is_at(descriptor, self.path):
                self.path.unlink()
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def _take(self, certain: bool) -> int | None:
        """Open and lock the file; None if it vanished meanwhile, or only seems so."""
        created, ours = True, True
        try:
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        except FileExistsError:
            created = False
            try:
                descriptor, ours = self._open_existing()
            except FileNotFoundError:
                return None
        try:
            locked = try_lock(descriptor)
            holder = "" if created else os.pread(descriptor, 1000, 0).decode(errors="replace")
            # Without locks the file itself is the sign, unless its process is known to be gone.
            if locked is False or (locked is None and not created and not _has_ended(holder)):
                raise FileHeldError(self._refusal(holder, certain=locked is False))
            if not ours:
                self._remove_of_others(descriptor)
                return None
            if is_at(descriptor, self.path) or not certain:
                kept, descriptor = descriptor, -1
                return kept
            return None
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _open_existing(self) -> tuple[int, bool]:
        """Open the file of an earlier holder; say whether we may write it."""
        with contextlib.suppress(PermissionError):
            return os.open(self.path, os.O_RDWR | os.O_NOFOLLOW), True
        try:
            return os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW), False
        except PermissionError as error:
            raise FileHeldError(self._belongs_to_others()) from error

    def _remove_of_others(self, descriptor: int) -> None:
        """Remove what a process of another user left, and which states that process."""
        try:
            if is_at(descriptor, self.path):
                self.path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise FileHeldError(self._belongs_to_others()) from error

    def _belongs_to_others(self) -> str:
        return (
            f"{str(self.path)!r} belongs to another user and cannot be taken over: "
            "if nobody is at work there, have it deleted, or choose another place"
        )

    def _refusal(self, holder: str, certain: bool) -> str:
        holder = "".join(c for c in holder if c.isprintable()).strip() or "another process"
        gone = "" if certain else f". If that process is gone, delete {str(self.path)!r}"
        return f"{self._claim} by {holder}: {self._advice}{gone}"

    def __enter__(self) -> Lock:
        """Take the lock."""
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.release()


def hold_file(path: str | os.PathLike[str], claim: str, advice: str) -> Lock:
    """Return the lock of a file, ``.<name>.lock`` beside it; see :class:`Lock`."""
    path = Path(path)
    return Lock(path.with_name(f".{path.name}.lock"), f"{str(path)!r} {claim}", advice)


def hold_folder(path: str | os.PathLike[str], claim: str, advice: str) -> Lock:
    """Return the lock of a folder, ``.lock`` in it; see :class:`Lock`."""
    return Lock(Path(path) / ".lock", f"{str(path)!r} {claim}", advice)


def _describe_process() -> str:
    """Describe this process, in one line."""
    program = [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv and sys.argv[0] else ["python"]
    command = shlex.join(program)
    if len(command) > 200:
        command = f"{command[:197]}..."
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()} since {started} ({command})"


def _has_ended(holder: str) -> bool:
    """Say whether a process that describes itself so is known to be gone."""
    match = re.match(r"process (\d{1,9}) on (\S+) since ", holder)
    if not match or match[2] != socket.gethostname():
        return False
    try:
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
