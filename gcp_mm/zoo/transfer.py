"""A transfer by gdown: begun again rather than mixed, and given up when it is too slow.

gdown continues what an earlier call left whatever the server has by now: it compares versions of
the file within a call alone (https://github.com/wkentaro/gdown/blob/v6.5.1/gdown/download.py).
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path
from typing import Any

from gcp_mm.files import atomic_write

# gdown writes pieces of 512 KiB; a server that needs longer for one is given up.
PATIENCE = 300.0


def transfer(url: str, target: Path, retries: int, certain: bool) -> None:
    """Download a file with gdown, which keeps an incomplete one as ``<target>XXXXXXXX.part``.

    Args:
        url: An address, of Google Drive as well.
        target: The file to write.
        retries: How often to reconnect.
        certain: Whether a digest will tell a mixture of two files: then what an earlier call left
            is always continued.

    Raises:
        gdown.DownloadError, requests.RequestException, TimeoutError: If it fails; parts are kept
            if the next call can continue them.
    """
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
    """List what gdown keeps of an incomplete download.

    Args:
        target: The file that is downloaded.
    """
    return sorted(target.parent.glob(f"{target.name}*.part"))


def discard(target: Path) -> None:
    """Remove what is kept of an incomplete download.

    Args:
        target: The file that is downloaded.
    """
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
