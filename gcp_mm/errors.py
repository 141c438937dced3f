"""Errors that a user can act on: tools print the message and leave out the traceback."""


class UserError(ValueError):
    """Something outside the code is wrong; the message says what, where and what to do."""


class CheckpointNotFoundError(UserError, FileNotFoundError):
    """A checkpoint file does not exist."""

    # OSError.__str__ would print None when it is given a message alone.
    __str__ = ValueError.__str__


class FolderExistsError(UserError, FileExistsError):
    """A folder that is about to be made exists and holds something else."""

    __str__ = ValueError.__str__


class CheckpointMismatchError(UserError):
    """A checkpoint does not belong to the network it is loaded into."""


class UnsafeCheckpointError(UserError):
    """A checkpoint would run code when it is loaded."""
