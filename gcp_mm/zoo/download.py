"""Fetch the file that the authors released for a row."""

from __future__ import annotations

import os
from pathlib import Path

import filelock

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import UserError
from gcp_mm.zoo.released_file import check_released_file
from gcp_mm.zoo.rows import Row
from gcp_mm.zoo.transfer import parts, transfer

_RELEASED = "released.pth.tar"
_UNCHECKED = "unchecked"


def cache_folder(row: Row) -> Path:
    """Return the folder that holds a row's download.

    It is ``checkpoints/<row>`` below ``$GCP_MM_CACHE``, by default ``~/.cache/gcp_mm``, the folder
    that the installation uses too.
    """
    cache = os.environ.get("GCP_MM_CACHE") or "~/.cache/gcp_mm"
    return Path(cache).expanduser() / "checkpoints" / row.name


def download_released(row: Row, url: str | None = None, retries: int = 5) -> Path:
    """Download a row's file with gdown, unless it is in the cache already.

    An interrupted download is continued by the next call, if it is certain that the server still
    has the same file (:func:`gcp_mm.zoo.transfer.transfer`). The file is checked
    (:func:`gcp_mm.zoo.released_file.check_released_file`) before it gets its final name.

    Args:
        row: The row.
        url: Address of a mirror; by default the file at Google Drive.
        retries: How often to reconnect within this call.

    Returns:
        Path of the file in the cache.

    Raises:
        UserError: If the authors released no file, or the download fails, or it is not the file.
    """
    if row.release is None:
        raise UserError(
            f"the authors released no file for {row.name}: their table has no link in this row"
        )
    folder = cache_folder(row)
    released, unchecked = folder / _RELEASED, folder / _UNCHECKED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Two processes would write into the same partial file.
        with filelock.FileLock(folder / ".lock"):
            if not released.is_file():
                _fetch(row, url or row.release.url, unchecked, retries)
                _accept(row, unchecked)
                unchecked.replace(released)
    except OSError as error:
        raise UserError(f"cannot write below {str(folder)!r}: {error.strerror or error}") from error
    return released


def alternative(row: Row) -> str:
    """Say how to get a row's file without Google Drive.

    Args:
        row: A row with a released file.

    Returns:
        One sentence.
    """
    return (
        f"The same file is at {row.release.baidu_url} (extraction code {row.release.baidu_code}): "
        f"fetch it with a browser and continue with `{command_line('zoo')} download "
        f"{row.name} --from-file PATH`"
    )


def _fetch(row: Row, url: str, target: Path, retries: int) -> None:
    """Let gdown write ``target``."""
    try:
        import gdown
        import requests
    except ModuleNotFoundError as error:
        raise UserError(
            f"downloads need gdown ({error}): pip install 'gdown>=6.5'. {alternative(row)}"
        ) from error
    try:
        transfer(url, target, retries, certain=row.release.sha256 is not None)
    except (gdown.DownloadError, requests.RequestException, TimeoutError) as error:
        raise UserError(
            f"could not download {row.name} from {url}: {_reason(error)}.{_left_over(target)} "
            f"{alternative(row)}"
        ) from error


def _accept(row: Row, path: Path) -> None:
    """Check a complete download, and do not keep what is not the file."""
    try:
        check_released_file(row, path)
    except UserError as error:
        path.unlink()
        raise UserError(f"{error}. The download was not kept. {alternative(row)}") from error


def _left_over(target: Path) -> str:
    size = sum(path.stat().st_size for path in parts(target))
    if not size:
        return ""
    return (
        f" {size} bytes are kept in {target.parent}: run the command again to continue, or remove "
        "that folder to start afresh."
    )


def _reason(error: Exception) -> str:
    # What gdown says after that is for its own command line.
    text = str(error).partition("\nThe received bytes are kept")[0]
    return " ".join(text.split()).rstrip(".") or type(error).__name__
