"""Check that a file can be the one that the authors released for a row."""

from __future__ import annotations

from pathlib import Path

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import CheckpointMismatchError
from gcp_mm.files import sha256
from gcp_mm.zoo.rows import Row

_BYTES_PER_PARAMETER = 4


def check_released_file(row: Row, path: str | Path) -> str:
    """Check the beginning, the size and the sha256 of a file.

    As long as the metafile does not record size and sha256, a file passes that begins like a
    checkpoint, has room for the parameters of the row in float32, and agrees with the checksums in
    it, if its format has some.
    """
    # mmengine takes seconds to import, and the other commands of the zoo have no use for it.
    from gcp_mm.checkpoints.file_kind import begins_like_torch, check_file, is_web_page
    from gcp_mm.checkpoints.loader import find_checkpoint

    path = find_checkpoint(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        beginning = file.read(9)
    if not begins_like_torch(beginning):
        raise CheckpointMismatchError(
            f"{path} ({size} bytes) is "
            + (
                "a web page, which Google Drive sends instead of a file when its quota is used up"
                if is_web_page(path)
                else "not a PyTorch checkpoint, as the authors released; another file of these "
                f"weights is converted with {command_line('convert')}"
            )
        )
    expected = row.release.size
    if expected is not None and size != expected:
        raise CheckpointMismatchError(f"{path} has {size} bytes; that of {row.name} has {expected}")
    smallest = _BYTES_PER_PARAMETER * row.parameters
    if size < smallest:
        raise CheckpointMismatchError(
            f"{path} has {size} bytes; the {row.parameters} parameters of {row.name} alone take "
            f"{smallest}"
        )
    digest = sha256(path)
    if row.release.sha256 is None:
        check_file(path)
    if row.release.sha256 not in (None, digest):
        raise CheckpointMismatchError(
            f"the sha256 of {path} is {digest}; that of {row.name} is {row.release.sha256}"
        )
    return digest
