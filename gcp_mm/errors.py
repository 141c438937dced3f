"""Errors that a user can act on: tools print the message and leave out the traceback."""

from __future__ import annotations

import errno
from pathlib import Path


class UserError(ValueError):
    """Something outside the code is wrong; the message says what, where and what to do."""


class SystemUserError(UserError, OSError):
    """The system refuses something; has the ``errno`` of its error where there was one."""

    # OSError.__str__ would print None when it is given a message alone.
    __str__ = ValueError.__str__

    def __reduce__(self) -> tuple:
        """Pickle the number of the system too, which OSError does for errors without a message."""
        numbers = {"errno": self.errno, "strerror": self.strerror}
        return type(self), self.args, {**self.__dict__, **numbers}


class CheckpointNotFoundError(SystemUserError, FileNotFoundError):
    """A checkpoint file does not exist."""


class FolderExistsError(SystemUserError, FileExistsError):
    """A folder that is about to be made exists and holds something else."""


class FileWriteError(SystemUserError):
    """A file cannot be written."""

    @classmethod
    def of(cls, error: OSError, what: str) -> FileWriteError:
        """Explain an error of the system."""
        # One of ours has its reason beside its message: what is said of the file is said once.
        whole = isinstance(error, UserError) and not isinstance(error, cls)
        reason = str(error) if whole else error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno)
        place = error.filename if isinstance(error.filename, str) else ""
        if error.errno == errno.EEXIST and Path(place).is_symlink() and not Path(place).exists():
            from gcp_mm.files import why_absent  # which imports this module

            reason = f"{place!r} {why_absent(place, 'folder')}"
            remedy = "mend the link, or choose another path"
        explained = cls(f"{what}: {reason}{f'; {remedy}' if remedy else ''}")
        explained.errno, explained.strerror = error.errno, error.strerror
        return explained


_ELSEWHERE = "choose another folder, or change the rights of this one"
_A_FILE = "a part of the path is a file; choose another path"
_REMEDIES: dict[int | None, str] = {
    errno.EACCES: _ELSEWHERE,
    errno.EDQUOT: "free some of your quota and start again",
    errno.EEXIST: _A_FILE,
    errno.ENOSPC: "free some space and start again",
    errno.ENOTDIR: _A_FILE,
    errno.EISDIR: "name a file in it",
    errno.EPERM: _ELSEWHERE,
    errno.EROFS: "choose a folder that can be written to",
}


class FileHeldError(UserError):
    """Another process is at work on a file or a folder."""


class CheckpointMismatchError(UserError):
    """A checkpoint does not belong to the network it is loaded into."""


class UnsafeCheckpointError(UserError):
    """A checkpoint would run code when it is loaded."""


def first_line(error: BaseException) -> str:
    """Return the first line that an error of a library says, or else its type."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)
