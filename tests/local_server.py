"""A server on this machine, for tests of what downloads."""

import contextlib
import email.utils
import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def serving(
    handler: type[http.server.BaseHTTPRequestHandler], monkeypatch
) -> Iterator[http.server.ThreadingHTTPServer]:
    """Answer with a handler and no proxy between; ``url`` is the address, ``stop()`` ends it."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    # A client that went away must not hold up the end.
    listener.daemon_threads = True
    listener.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def stop() -> None:
        if thread.is_alive():
            listener.shutdown()
            listener.server_close()
            thread.join()

    listener.stop = stop
    try:
        yield listener
    finally:
        stop()


class FileHandler(http.server.BaseHTTPRequestHandler):
    """Serve ``server.files``, as badly as the other attributes of the server say."""

    def do_HEAD(self) -> None:
        """Say which version a file has."""
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.describe(body)
        self.end_headers()

    def do_GET(self) -> None:
        """Answer with a file, or with the part of it that is asked for."""
        with contextlib.suppress(ConnectionError):
            self.answer()

    def answer(self) -> None:
        server, body = self.server, self.server.files.get(self.path)
        asked = self.headers.get("Range")
        server.requests.append(self.path)
        server.ranges.append(asked)
        if server.garbage:
            self.wfile.write(b"\x00 this is not HTTP\r\n\r\n")
            return
        if server.slow_headers:
            self.drip(b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n")
            return
        if body is None:
            self.send_error(404)
            return
        etag, date, start = self.etag(body), self.date(), 0
        conditions = ("If-None-Match", etag), ("If-Modified-Since", date)
        if server.conditions and any(self.headers.get(name) == value for name, value in conditions):
            self.send_response(304)
            self.end_headers()
            return
        if asked and server.takes_ranges and self.headers.get("If-Range", etag) == etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.describe(body, start)
        self.end_headers()
        end = server.cuts.pop(0) if server.cuts else len(body)
        self.wfile.write(body[start:end])
        if server.slow:
            self.drip(body[end:])

    def describe(self, body: bytes, start: int = 0) -> None:
        if "etag" in self.server.versions:
            self.send_header("ETag", self.etag(body))
        if "date" in self.server.versions:
            self.send_header("Last-Modified", self.date())
        self.send_header("Content-Length", str(len(body) - start))

    def etag(self, body: bytes) -> str:
        return f'"{hashlib.md5(body).hexdigest()}"'

    def date(self) -> str:
        return email.utils.formatdate(self.server.date, usegmt=True)

    def drip(self, body: bytes) -> None:
        """Send a byte in 20 ms."""
        for byte in body:
            self.wfile.write(bytes([byte]))
            time.sleep(0.02)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def serving_files(monkeypatch) -> Iterator[http.server.ThreadingHTTPServer]:
    """Serve ``files`` (address below ``url`` to content), and note what is asked for.

    ``cuts`` says after how many bytes each answer breaks off, or, if the server is ``slow``, from
    where on it drips; ``versions`` by what it tells files apart.
    """
    with serving(FileHandler, monkeypatch) as listener:
        listener.files, listener.requests, listener.ranges, listener.cuts = {}, [], [], []
        listener.versions, listener.date = ("etag", "date"), 1_600_000_000
        listener.conditions = listener.takes_ranges = True
        listener.garbage = listener.slow = listener.slow_headers = False
        yield listener
