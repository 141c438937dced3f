"""A file server that can be as bad as a real one, and rows with small files."""

import contextlib
import dataclasses
import hashlib
import http.server
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local_server import serving

from gcp_mm.zoo import Row, find_row


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve ``server.files``; ``server.cuts`` says after how many bytes an answer breaks off."""

    def do_HEAD(self) -> None:
        """Say which version a file has, unless the server is one that does not."""
        body = self.server.files.get(self.path)
        self.send_response(200 if body is not None else 404)
        if body is not None and self.server.versions:
            self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()

    def do_GET(self) -> None:
        """Answer with a file, or with the part of it that is asked for."""
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = 0
        if asked and self.server.takes_ranges and self.headers.get("If-Range", etag) == etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if self.server.versions:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = self.server.cuts.pop(0) if self.server.cuts else len(body)
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[start:end])
            if self.server.slow and end < len(body):
                self.drip(body[end:])

    def drip(self, body: bytes) -> None:
        """Send a byte in 20 ms."""
        for byte in body:
            self.wfile.write(bytes([byte]))
            time.sleep(0.02)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch) -> Iterator[http.server.ThreadingHTTPServer]:
    """Serve ``files`` (address below ``url`` to content) and note the ``ranges`` asked for."""
    with serving(Handler, monkeypatch) as listener:
        listener.files, listener.cuts, listener.ranges = {}, [], []
        listener.versions, listener.takes_ranges, listener.slow = True, True, False
        yield listener


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Return the empty folder that downloads go to."""
    pytest.importorskip("gdown")
    monkeypatch.setenv("GCP_MM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small_row() -> Callable[..., Row]:
    """Make a row whose network has few parameters; arguments record things of its file."""

    def make(name: str = "resnet50_gcp_lrnorm", parameters: int = 1000, **release) -> Row:
        row = find_row(name)
        release = dataclasses.replace(row.release, **release)
        return dataclasses.replace(row, parameters=parameters, release=release)

    return make


@pytest.fixture
def content() -> bytes:
    """Return what begins like a checkpoint and has room for the parameters of ``small_row``."""
    return b"\x80\x02}q" + bytes(range(256)) * 40
