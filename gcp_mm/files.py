"""Files: written whole or not at all, held by one process at a time, told apart by their digest.

Imports the standard library alone, because tools that need no torch use it too.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import re
import shlex
import socket
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from gcp_mm.errors import FileHeldError, FileWriteError, UserError

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where gcp_mm.ops alone is used
    fcntl = None

# Longest name of a file that a suffix and a number still fit behind (of 255 bytes).
_LONGEST = 230
# A file that another process takes away meanwhile is tried again; where a file system gives an open
# file and its name different numbers (CIFS with noserverino, some of FUSE), it always seems so.
_TRIES = 100
# What a file system without locks answers, such as Lustre in its default mount.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}


def sha256(filename: str | os.PathLike[str]) -> str:
    """Compute the sha256 of a file.

    Args:
        filename: Path of the file.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with Path(filename).expanduser().open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def abbreviate(names: Iterable[str], limit: int = 4) -> str:
    """Join the first names and count the rest."""
    names = list(names)
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def path_below(folder: str | os.PathLike[str], name: str, source: str) -> Path:
    """Return where a name that comes out of a file leads, if that is below a folder.

    Args:
        folder: The folder.
        name: With slashes, such as a cell, or ``file_name`` of an annotation.
        source: What it comes from, for the message.

    Returns:
        ``folder/name``.

    Raises:
        UserError: If the name is absolute, has a part ``..``, or is none of a file at all.
    """
    # Backslashes and drives, because files come from other systems.
    parts = re.split(r"[/\\]", name) if isinstance(name, str) else []
    wrong = not parts or not all(parts) or {".", ".."} & set(parts) or ":" in parts[0]
    if wrong or not name.isprintable():
        raise UserError(
            f"{source}: the name {str(name)[:200]!r} does not lie below a folder, and nothing is "
            "written or read outside of one; correct the name, or do not use this file"
        )
    return Path(folder) / name


def atomic_write(path: str | os.PathLike[str], content: bytes | str, what: str = "file") -> Path:
    """Write a file that is complete or, whatever happens, as it was before.

    Args:
        path: The file; its folder is made if needed.
        content: What it holds. Text is written as UTF-8.
        what: What it is to the user, such as 'result file', for the message.

    Returns:
        The path.

    Raises:
        FileWriteError: If it cannot be written, an OSError and a UserError.
    """
    path = Path(path)
    try:
        with atomic_open(path) as file:
            file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise FileWriteError.of(error, f"{what} {str(path)!r} cannot be written") from error
    return path


@contextlib.contextmanager
def atomic_open(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to write, that takes its name when the block ends without an error.

    It is written beside its place as ``.<name>.part``, under a lock that ends with the process, so
    that several writers have a file each and what a killed one left is used up by the next. After
    an error it is removed. The mode is that of the file it replaces, or of any new file.

    Args:
        path: The file; its folder is made if needed. A link is replaced, not followed; a device or
            a pipe is written to.

    Yields:
        A binary file.

    Raises:
        OSError: If it cannot be written.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    mode = _mode_of(target)
    if mode is not None and not stat.S_ISREG(mode):
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        # --out /dev/null: a file in its place would break the machine.
        with target.open("wb") as file:
            yield file
        return
    descriptor, temporary = _create_beside(target)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            yield file
        if mode is not None:
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, stat.S_IMODE(mode))
        os.fsync(descriptor)
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    finally:
        # The lock ends here, after the file has its name.
        os.close(descriptor)


def _mode_of(target: Path) -> int | None:
    """Return the mode of what a path leads to, None if there is nothing."""
    try:
        return target.stat().st_mode
    except FileNotFoundError:
        return None


def _create_beside(target: Path) -> tuple[int, Path]:
    """Create an empty file of this process alone, and lock it."""
    name = target.name
    if len(os.fsencode(name)) > _LONGEST:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    left = _TRIES
    for number in itertools.count():
        temporary = target.with_name(f".{name}{f'.{number}' if number else ''}.part")
        while True:
            left -= 1
            try:
                descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            except FileExistsError:
                if left > 0 and _remove_left_over(temporary):
                    continue
                break
            if _lock(descriptor) is not False and (left <= 0 or _is_at(descriptor, temporary)):
                return descriptor, temporary
            # Between these lines another writer took it for a left-over.
            os.close(descriptor)


def _remove_left_over(temporary: Path) -> bool:
    """Remove the file of a writer that was killed; False if it may be at work."""
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        # Where there are no locks, nobody knows.
        if not _lock(descriptor):
            return False
        if _is_at(descriptor, temporary):
            temporary.unlink()
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock an open file; False if another process has it, None if the file system cannot."""
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


def _is_at(descriptor: int, path: Path) -> bool:
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
        """Take the lock, or say who has it.

        Raises:
            FileHeldError: If another process, or this one, holds it; names it.
            FileWriteError: If the lock file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for tries in itertools.count(1):
                self._descriptor = self._take(certain=tries < _TRIES)
                if self._descriptor is not None:
                    break
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, _describe_process().encode())
        except OSError as error:
            self.release()
            raise FileWriteError.of(error, f"{str(self.path)!r} cannot be written") from error
        _held.add(self._descriptor)
        return self

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        _held.discard(descriptor)
        # While it is locked: nobody else can have taken the name.
        with contextlib.suppress(OSError):
            if _is_at(descriptor, self.path):
                self.path.unlink()
        with contextlib.suppress(OSError):
            os.close(descriptor)

    def _take(self, certain: bool) -> int | None:
        """Open and lock the file; None if it vanished meanwhile, or only seems so."""
        try:
            created = True
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        except FileExistsError:
            created = False
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW)
            except FileNotFoundError:
                return None
        try:
            locked = _lock(descriptor)
            holder = "" if created else os.pread(descriptor, 1000, 0).decode(errors="replace")
            # Without locks the file itself is the sign, unless its process is known to be gone.
            if locked is False or (locked is None and not created and not _has_ended(holder)):
                raise FileHeldError(self._refusal(holder, certain=locked is False))
            if _is_at(descriptor, self.path) or not certain:
                kept, descriptor = descriptor, -1
                return kept
            return None
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _refusal(self, holder: str, certain: bool) -> str:
        holder = "".join(c for c in holder if c.isprintable()).strip() or "another process"
        gone = "" if certain else f". If that process is gone, delete {str(self.path)!r}"
        return f"{self._claim} by {holder}: {self._advice}{gone}"

    def __enter__(self) -> Lock:
        """Take the lock."""
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
