"""Fetch the file that the authors released for a row: begun again rather than mixed.

A transfer by gdown continues what an earlier call left whatever the server has by now: it compares
versions of the file within a call alone
(https://github.com/wkentaro/gdown/blob/v6.5.1/gdown/download.py). One that is too slow is given up.
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
from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write
from gcp_mm.zoo.released_file import check_released_file
from gcp_mm.zoo.rows import Row

# gdown writes pieces of 512 KiB; a server that needs longer for one is given up.
PATIENCE = 300.0


def transfer(url: str, target: Path, retries: int, certain: bool) -> None:
    """Download a file with gdown, which keeps an incomplete one as ``<target>XXXXXXXX.part``."""
    import gdown

    version = None if certain else _version(url)
    note = target.with_name(f"{target.name}.json")
    if not certain and (version is None or _read(note) != version):
        discard(target)
    continued = bool(parts(target))
    if version is not None:
        atomic_write(note, json.dumps(version))
    # A server that ignores ranges answers each continuation with the whole file.
    for left in range(max(retries, 1), -1, -1):
        try:
            _download(url, target, retries)
            break
        except gdown.DownloadError as error:
            if "byte range" not in str(error):
                if version is None and not certain:
                    discard(target)
                raise
            discard(target)
            if not left:
                raise
            continued = False
        except BaseException:
            if version is None and not certain:
                discard(target)
            raise
    if continued and not certain and _version(url) != version:
        target.unlink(missing_ok=True)
        raise gdown.DownloadError(
            "the server exchanged the file while it was downloaded; run the command again"
        )
    note.unlink(missing_ok=True)


def parts(target: Path) -> list[Path]:
    """List what gdown keeps of an incomplete download."""
    return sorted(target.parent.glob(f"{target.name}*.part"))


def discard(target: Path) -> None:
    """Remove what is kept of an incomplete download."""
    for path in parts(target):
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


def _read(note: Path) -> Any:
    with contextlib.suppress(OSError, ValueError):
        return json.loads(note.read_text(encoding="utf-8"))
    return None


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
    has the same file (:func:`gcp_mm.zoo.download.transfer`). The file is checked
    (:func:`gcp_mm.zoo.released_file.check_released_file`) before it gets its final name.
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
    """Say how to get a row's file without Google Drive."""
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
