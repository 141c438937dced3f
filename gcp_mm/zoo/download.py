"""Fetch the file that the authors released for a row, and check that it can be that file.

A transfer by gdown continues what an earlier call left whatever the server has by now: it compares
versions of the file within a call alone
(https://github.com/wkentaro/gdown/blob/v6.5.1/gdown/download.py). So one that may mix two files is
begun again here, and one that is too slow is given up.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import filelock

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import CheckpointMismatchError, UserError
from gcp_mm.files import atomic_write, sha256
from gcp_mm.plain_data import read_note
from gcp_mm.zoo.rows import Row

# gdown writes pieces of 512 KiB; a server that needs longer for one is given up.
PATIENCE = 300.0
_RELEASED, _UNCHECKED = "released.pth.tar", "unchecked"
_BYTES_PER_PARAMETER = 4


def download_released(row: Row, url: str | None = None, retries: int = 5) -> Path:
    """Download a row's file with gdown, unless it is in the cache already.

    That is ``checkpoints/<row>`` below ``$GCP_MM_CACHE``, by default ``~/.cache/gcp_mm``, which the
    installation uses too. An interrupted download is continued by the next call, if it is certain
    that the server still has the same file (:func:`_transfer`). The file is checked
    (:func:`check_released_file`) before it gets its final name.
    """
    address = url or row.released.url
    cache = Path(os.environ.get("GCP_MM_CACHE") or "~/.cache/gcp_mm").expanduser()
    folder = cache / "checkpoints" / row.name
    released, unchecked = folder / _RELEASED, folder / _UNCHECKED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Two processes would write into the same partial file.
        with filelock.FileLock(folder / ".lock"):
            if not released.is_file():
                _fetch(row, address, unchecked, retries)
                _accept(row, unchecked)
                unchecked.replace(released)
    except OSError as error:
        raise UserError(f"cannot write below {str(folder)!r}: {error.strerror or error}") from error
    return released


def _alternative(row: Row) -> str:
    """Say how to get a row's file without Google Drive."""
    release = row.released
    if release.baidu is None:
        place = f"{release.url} opens in a browser as well"
    else:
        place = f"The same file is at {release.baidu_url} (extraction code {release.baidu_code})"
    return (
        f"{place}: fetch it with a browser and continue with `{command_line('zoo')} download "
        f"{row.name} --from-file PATH`"
    )


def _fetch(row: Row, url: str, target: Path, retries: int) -> None:
    """Let gdown write ``target``."""
    try:
        import gdown
        import requests
    except ModuleNotFoundError as error:
        raise UserError(
            f"downloads need gdown ({error}): pip install 'gdown>=6.5'. {_alternative(row)}"
        ) from error
    try:
        _transfer(url, target, retries, certain=row.released.sha256 is not None)
    except (gdown.DownloadError, requests.RequestException, TimeoutError) as error:
        raise UserError(
            f"could not download {row.name} from {url}: {_reason(error)}.{_left_over(target)} "
            f"{_alternative(row)}"
        ) from error


def _accept(row: Row, path: Path) -> None:
    """Check a complete download, and do not keep what is not the file."""
    try:
        check_released_file(row, path)
    except UserError as error:
        path.unlink()
        raise UserError(f"{error}. The download was not kept. {_alternative(row)}") from error


def check_released_file(row: Row, path: str | Path) -> str:
    """Check the beginning, the size and the sha256 of a file, and return the last.

    As long as the metafile records neither size nor sha256, a file passes that begins like a
    checkpoint, has room for the parameters in float32, and agrees with the checksums in it.
    """
    # mmengine takes seconds to import, and the other commands of the zoo have no use for it.
    from gcp_mm.checkpoints.file_kind import check_archive, explained, is_torch, is_web_page
    from gcp_mm.checkpoints.loader import find_checkpoint

    release, path = row.released, find_checkpoint(path)
    size = path.stat().st_size
    if is_web_page(path):
        raise CheckpointMismatchError(
            f"{path} ({size} bytes) is a web page, which Google Drive sends instead of a file when "
            "its quota is used up"
        )
    if not is_torch(path):
        raise CheckpointMismatchError(
            f"{path} ({size} bytes) is not a PyTorch checkpoint, as the authors released; another "
            f"file of these weights is converted with {command_line('convert')}"
        )
    if release.size not in (None, size):
        raise CheckpointMismatchError(
            f"{path} has {size} bytes; that of {row.name} has {release.size}"
        )
    smallest = _BYTES_PER_PARAMETER * row.parameters
    if size < smallest:
        raise CheckpointMismatchError(
            f"{path} has {size} bytes; the {row.parameters} parameters of {row.name} alone take "
            f"{smallest}"
        )
    digest = sha256(path)
    if release.sha256 is None:
        with explained(path):
            check_archive(path)
    elif release.sha256 != digest:
        raise CheckpointMismatchError(
            f"the sha256 of {path} is {digest}; that of {row.name} is {release.sha256}"
        )
    return digest


def _left_over(target: Path) -> str:
    size = sum(path.stat().st_size for path in _parts(target))
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


def _transfer(url: str, target: Path, retries: int, certain: bool) -> None:
    """Download a file with gdown, which keeps an incomplete one as ``<target>XXXXXXXX.part``."""
    import gdown

    version = None if certain else _version(url)
    # Where the server gives no version, what is left over could be of another file.
    continuable = certain or version is not None
    note = target.with_name(f"{target.name}.json")
    if not certain and (version is None or read_note(note) != version):
        _discard(target)
    continued = bool(_parts(target))
    if version is not None:
        atomic_write(note, json.dumps(version))
    # A server that ignores ranges answers each continuation with the whole file.
    for left in range(max(retries, 1), -1, -1):
        try:
            _download(url, target, retries)
            break
        except BaseException as error:
            ranges = isinstance(error, gdown.DownloadError) and "byte range" in str(error)
            if ranges or not continuable:
                _discard(target)
            if not ranges or not left:
                raise
            continued = False
    if continued and not certain and _version(url) != version:
        target.unlink(missing_ok=True)
        raise gdown.DownloadError(
            "the server exchanged the file while it was downloaded; run the command again"
        )
    note.unlink(missing_ok=True)


def _parts(target: Path) -> list[Path]:
    """List what gdown keeps of an incomplete download."""
    return sorted(target.parent.glob(f"{target.name}*.part"))


def _discard(target: Path) -> None:
    """Remove what is kept of an incomplete download."""
    for path in _parts(target):
        path.unlink(missing_ok=True)


def _download(url: str, target: Path, retries: int) -> None:
    """Run gdown, and stop it when no piece has come for :data:`PATIENCE`."""
    import gdown

    cancel, ended = threading.Event(), threading.Event()
    last = [time.monotonic()]

    def progress(received: int, total: int | None) -> None:
        last[0] = time.monotonic()

    def watch() -> None:
        while not ended.wait(min(PATIENCE / 4, 5)):
            if time.monotonic() - last[0] > PATIENCE:
                return cancel.set()
        return None

    threading.Thread(target=watch, daemon=True).start()
    try:
        gdown.download(
            url=url,
            output=str(target),
            resume=True,
            retries=retries,
            timeout=min(60.0, PATIENCE),
            progress=progress,
            cancel=cancel,
        )
    except gdown.DownloadCancelled as error:
        raise TimeoutError(
            f"the server is too slow: less than 512 KiB in {PATIENCE:.0f} seconds"
        ) from error
    finally:
        ended.set()


def _version(url: str) -> dict[str, Any] | None:
    """Ask which version of a file a server has, None if it does not say."""
    import requests

    from gcp_mm.checkpoints.http_file import within

    def ask() -> dict[str, Any] | None:
        headers = {"Accept-Encoding": "identity"}
        with requests.head(url, headers=headers, allow_redirects=True, timeout=30) as response:
            response.raise_for_status()
            etag, date = response.headers.get("ETag"), response.headers.get("Last-Modified")
            strong = etag and not etag.startswith("W/")
            if not strong and not date:
                return None
            size = response.headers.get("Content-Length")
            return {"url": url, "etag": etag, "last_modified": date, "size": size}

    # Google Drive answers with a web page, whose version is nobody's.
    if "://drive.google.com/" in url:
        return None
    with contextlib.suppress(requests.RequestException, OSError):
        return within(min(60.0, PATIENCE), ask)
    return None
