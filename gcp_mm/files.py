"""Files: written whole or not at all, and told apart by their digest.

Imports the standard library alone, because tools that need no torch use it too.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from gcp_mm.errors import FileWriteError, UserError
from gcp_mm.locks import TRIES, is_at, try_lock

# Longest name of a file that a suffix and a number still fit behind (of 255 bytes).
_LONGEST = 230


def sha256(filename: str | os.PathLike[str]) -> str:
    """Compute the sha256 of a file."""
    digest = hashlib.sha256()
    with Path(filename).expanduser().open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def why_absent(path: str | os.PathLike[str], wanted: str = "file") -> str:
    """Say why there is no file or folder to use at a path: the end of a sentence that names it."""
    written, path = str(path), Path(path).expanduser()
    try:
        path.stat()
    except ValueError:
        return f"is no name of a {wanted}"
    except OSError as error:
        reason, told = error.errno, error.strerror
    else:
        is_usable = {"file": path.is_file, "folder": path.is_dir}.get(wanted, path.exists)()
        if is_usable and written.startswith("~"):
            return f"does not exist: ~ is the home folder to a shell alone; write {str(path)!r}"
        return f"is no {wanted}"
    if reason == errno.ELOOP:
        return "is a loop of links: one of them leads to itself, and has to be made anew"
    if reason == errno.EACCES:
        return "cannot be looked at: permission denied in one of its folders"
    if reason == errno.ENAMETOOLONG:
        return f"is no {wanted}: the name is too long"
    if reason not in (errno.ENOENT, errno.ENOTDIR):
        return f"cannot be looked at: {told}"
    for part in (path, *path.parents):
        if part.is_symlink() and not part.exists():
            return f"leads to nothing: {str(part)!r} is a link to {str(part.readlink())!r}"
        if part.is_file():
            return f"cannot be there: {str(part)!r} is a file"
    return "does not exist"


def abbreviate(names: Iterable[str], limit: int = 4) -> str:
    """Join the first names and count the rest."""
    names = list(names)
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def path_below(folder: str | os.PathLike[str], name: str, source: str) -> Path:
    """Return where a name that comes out of a file leads, if that is below a folder."""
    # Backslashes and drives, because files come from other systems.
    parts = re.split(r"[/\\]", name) if isinstance(name, str) else []
    wrong = not parts or not all(parts) or {".", ".."} & set(parts) or ":" in parts[0]
    if wrong or not name.isprintable():
        raise UserError(
            f"{source}: the name {str(name)[:200]!r} does not lie below a folder, and nothing is "
            "written or read outside of one; correct the name, or do not use this file"
        )
    return Path(folder) / name


def check_target(target: Path, force: bool) -> None:
    """Refuse to write where a folder is, and without ``force`` where a file is."""
    if target.is_dir():
        raise UserError(f"the destination {str(target)!r} is a folder; name a file in it")
    if target.exists() and not force:
        raise UserError(f"the destination {str(target)!r} exists; --force replaces it")


def atomic_write(path: str | os.PathLike[str], content: bytes | str, what: str = "file") -> Path:
    """Write a file, text as UTF-8, that is complete or, whatever happens, as it was before."""
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
    an error it is removed. The mode is that of the file it replaces, or of any new file. A link is
    replaced and not followed, a device or a pipe is written to.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = None
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


def _create_beside(target: Path) -> tuple[int, Path]:
    """Create an empty file of this process alone, and lock it."""
    name = target.name
    if len(os.fsencode(name)) > _LONGEST:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    left, number = TRIES, 0
    while True:
        temporary = target.with_name(f".{name}{f'.{number}' if number else ''}.part")
        left -= 1
        try:
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        except FileExistsError:
            if left <= 0 or not _remove_left_over(temporary):
                number += 1
            continue
        if try_lock(descriptor) is not False and (left <= 0 or is_at(descriptor, temporary)):
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
        if not try_lock(descriptor):
            return False
        if is_at(descriptor, temporary):
            temporary.unlink()
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
