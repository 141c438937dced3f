"""Checkpoints behind http addresses: fetched once, and again when the server has another file.

A name such as ``resnet50-0676ba61.pth`` carries the first digits of the file's sha256 and stands in
torch's own cache. Digits without a letter, as in ``model-20240101.pth``, may be a date or a step:
they count as a digest only where they agree. Any other file stands in a folder of its address,
because ``http://h/run1/epoch_1.pth`` and ``http://h/run2/epoch_1.pth`` are two files; a record
beside it says what the server called its version.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse

import torch

from gcp_mm.checkpoints.hub import DISK_ERRORS
from gcp_mm.console.progress import if_long
from gcp_mm.errors import FileWriteError, UserError
from gcp_mm.files import atomic_open, atomic_write, sha256
from gcp_mm.first_process import log
from gcp_mm.plain_data import read_note

# torch's own expression takes any number of digits, and so "resnet-101.pth" for a digest.
_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.")
# A server that says nothing for so many seconds, or less than so many bytes a second during them,
# is given up.
PATIENCE, SLOWEST = 60.0, 1000.0
_BLOCK, _MEGABYTE = 1 << 16, 1_000_000

_Answer = TypeVar("_Answer")


def place(url: str) -> Path:
    """Return where the file of an address is kept, below torch's hub folder."""
    return _find(url)[0]


def _find(url: str) -> tuple[Path, str | None]:
    """Return where a file is kept, and its digest where that decides the place."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    name = Path(urlparse(url).path).name
    name = name if name not in ("", ".", "..") else "checkpoint"
    path, digits = folder / name, _digits(name)
    if digits and not digits.isdecimal():
        return path, None
    if digits and path.is_file() and (known := sha256(path)).startswith(digits):
        return path, known
    return folder / hashlib.sha256(url.encode()).hexdigest()[:16] / name, None


def fetch(url: str) -> tuple[Path, bool]:
    """Make sure that the file of an address is there, log which one, and say if it came now."""
    target, known = _find(url)
    if known is None and target.is_file():
        known = sha256(target)
    digits, unconfirmed = _digits(target.name), ""
    if digits and known and known.startswith(digits):
        return target, False
    record = read_note(_record(target))
    if digits.isdecimal():
        unconfirmed = f"; {digits} in its name is a date or a number, not the beginning of that"
        digits = ""
    if known and not digits and not record:
        origin = f"put there by hand (sha256 {known}{unconfirmed})"
        log(f"{url}: taken from {target}, {origin}")
        return target, False
    intact = bool(known and record.get("sha256") == known)
    try:
        response = _open(url, record if intact else {})
        if response is not None:
            with response:
                record = _receive(response, url, target, digits)
    except (OSError, HTTPException, ValueError) as error:
        reason = _reason(error)
        if not intact and isinstance(error, OSError) and error.errno in DISK_ERRORS:
            what = f"{url} cannot be written to {str(target)!r} (TORCH_HOME)"
            raise FileWriteError.of(error, what) from error
        if not intact:
            raise UserError(
                f"could not download {url}: {reason}. Fetch the file on a machine that reaches "
                f"the address and put it at {target}, or give a local path instead "
                "(--cfg-options model.backbone.init_cfg.checkpoint=PATH)"
            ) from error
        log(
            f"{url}: cannot be asked whether its file has changed ({reason}); taken as it was on "
            f"{record.get('date')} from {target} (sha256 {known}{unconfirmed})"
        )
        return target, False
    came = record["sha256"]
    if came.startswith(_digits(target.name)):
        unconfirmed = ""
    log(f"{url}: {target} (downloaded {record['date']}, sha256 {came}{unconfirmed})")
    return target, response is not None


def _digits(name: str) -> str:
    """Return what may be the beginning of the digest of a file of this name, or an empty text."""
    found = _DIGEST.search(name)
    return found[1] if found else ""


def forget(target: Path) -> None:
    """Remove a file that :func:`fetch` downloaded and that turned out to be no checkpoint."""
    for path in (target, _record(target)):
        path.unlink(missing_ok=True)


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _open(url: str, record: dict[str, Any]) -> HTTPResponse | None:
    """Ask for a file, None if it is the one of the record still."""
    headers = {"User-Agent": "gcp_mm"}
    if record.get("etag"):
        headers["If-None-Match"] = record["etag"]
    elif record.get("last_modified"):
        headers["If-Modified-Since"] = record["last_modified"]
    request = urllib.request.Request(url, headers=headers)
    try:
        response = within(PATIENCE, lambda: urllib.request.urlopen(request, timeout=PATIENCE / 2))
    except HTTPError as error:
        error.close()
        if error.code == 304 and record:
            return None
        raise
    # Not every server looks at conditions. A size alone says nothing: it is that of the network.
    version = _version(response)
    told = version["etag"] or version["last_modified"]
    if told and all(record.get(name) == value for name, value in version.items()):
        response.close()
        return None
    return response


def _version(response: HTTPResponse) -> dict[str, Any]:
    headers = response.headers
    length = headers.get("Content-Length")
    return {
        "etag": headers.get("ETag"),
        "last_modified": headers.get("Last-Modified"),
        "size": int(length) if length and length.isdecimal() else None,
    }


def _receive(response: HTTPResponse, url: str, target: Path, digits: str) -> dict[str, Any]:
    """Write a file and its record."""
    version, digest, size = _version(response), hashlib.sha256(), 0
    total = version["size"] and math.ceil(version["size"] / _MEGABYTE)
    what = f"downloading {target.name}, in megabytes"
    with atomic_open(target) as file, if_long(total, what) as progress:
        for block in _blocks(response):
            file.write(block)
            digest.update(block)
            before, size = size, size + len(block)
            # The last part of a megabyte counts as one.
            progress.update(math.ceil(size / _MEGABYTE) - math.ceil(before / _MEGABYTE))
        if version["size"] not in (None, size):
            raise OSError(f"the connection broke after {size} of {version['size']} bytes")
        if not digest.hexdigest().startswith(digits):
            raise OSError(
                f"the hash of what came is {digest.hexdigest()}, and the name of the file says "
                f"that it begins with {digits}"
            )
    date = time.strftime("%Y-%m-%d %H:%M:%S")
    record = {**version, "size": size, "url": url, "sha256": digest.hexdigest(), "date": date}
    if not digits:
        atomic_write(_record(target), json.dumps(record))
    return record


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    """Yield the content, and give up a server that is slower than :data:`SLOWEST`."""
    begin, received = time.monotonic(), 0
    # read() would wait for a whole block.
    while block := response.read1(_BLOCK):
        yield block
        received += len(block)
        waited = time.monotonic() - begin
        if waited > PATIENCE:
            if received < SLOWEST * waited:
                raise OSError(f"the server is too slow: {received} bytes in {waited:.0f} seconds")
            begin, received = time.monotonic(), 0


def within(seconds: float, work: Callable[[], _Answer]) -> _Answer:
    """Do something that may never end; after so many seconds that is a TimeoutError.

    It goes on then in a thread of its own.
    """
    answer: Future[_Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not wait((answer,), seconds).done:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    return answer.result()


def _reason(error: BaseException) -> str:
    if isinstance(error, URLError) and not isinstance(error, HTTPError):
        text = str(error.reason)
    else:
        text = str(error)
    kind = f"{type(error).__name__}: " if isinstance(error, HTTPException) else ""
    return kind + " ".join("".join(c if c.isprintable() else " " for c in text).split())
