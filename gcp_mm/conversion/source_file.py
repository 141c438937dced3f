"""Read a checkpoint that comes from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gcp_mm.checkpoints.loader import find_checkpoint, load_from_file
from gcp_mm.errors import UserError


def read_source(filename: str | Path) -> Any:
    """Load a file on the CPU, without executing anything in it.

    Args:
        filename: Path of the file, in either of torch's formats or ``.safetensors``, or an address
            ``hf://OWNER/NAME/FILE``.

    Returns:
        What it holds.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        UnsafeCheckpointError: If it refers to code.
        UserError: If it is truncated, a web page, or not a checkpoint.
    """
    path = find_checkpoint(filename)
    if is_web_page(path):
        raise UserError(
            f"{str(path)!r} is a web page, not a checkpoint. Google Drive answers with one before "
            "it hands out a large file, and when its quota is used up: open the link in a browser "
            "and confirm the download, or fetch the file from the mirror"
        )
    return load_from_file(path, map_location="cpu")


def is_web_page(path: Path) -> bool:
    """Say whether a file begins like HTML or XML, which no checkpoint does.

    Args:
        path: The file.

    Returns:
        Whether its first character other than white space is ``<``.
    """
    with path.open("rb") as file:
        return file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
