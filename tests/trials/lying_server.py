"""Downloads from a server that does all that servers do wrong: the right file, or one line.

Each door fetches the weights of the small classifier. It may end with these very weights or refuse
in one line; other weights, a traceback and waiting without an end are failures.
"""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import itertools
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

from forked import run_forked
from inputs import Inputs
from outcome import Outcome

from gcp_mm.errors import UserError

# The first one is the server as it should be.
BEHAVIOURS = (
    "honest",
    "no ranges",
    "no length",
    "half, then whole",
    "half always",
    "one byte too many",
    "length too small",
    "length too large",
    "other content",
    "other content later",
    "web page",
    "empty",
    "500 once",
    "500 always",
    "404",
    "403",
    "429",
    "redirect to itself",
    "redirect to a file",
    "range of other bytes",
    "closes at once",
    "one byte a second",
    "silent",
)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serve ``/NUMBER/NAME.pth`` by the behaviour of that number."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        number = self.path.strip("/").partition("/")[0]
        behaviour = BEHAVIOURS[int(number) % len(BEHAVIOURS)] if number.isdigit() else "404"
        if body:
            self.server.asked[self.path] += 1
        attempt = self.server.asked[self.path]
        content, other = self.server.content, self.server.other
        status = {"500 always": 500, "404": 404, "403": 403, "429": 429}.get(behaviour)
        if behaviour == "500 once" and attempt == 1:
            status = 500
        if status:
            return self._send(status, b"no", body)
        if behaviour == "redirect to itself":
            return self._send(302, b"", body, Location=self.path)
        if behaviour == "redirect to a file":
            return self._send(302, b"", body, Location="file:///etc/hostname")
        if behaviour == "closes at once":
            self.close_connection = True
            return None
        if behaviour == "silent":
            time.sleep(3600)
        if behaviour == "other content" or (behaviour == "other content later" and attempt > 1):
            content = other
        content = {
            "web page": b"<!DOCTYPE html><html>Sign in to download</html>",
            "empty": b"",
            "one byte too many": content + b"\0",
        }.get(behaviour, content)
        return self._send_file(behaviour, attempt, content, body)

    def _send_file(self, behaviour: str, attempt: int, content: bytes, body: bool) -> None:
        first = 0
        wanted = self.headers.get("Range")
        if wanted and behaviour != "no ranges":
            first = int(wanted.partition("=")[2].partition("-")[0])
            shown = 0 if behaviour == "range of other bytes" else first
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            content = content[shown : shown + len(content) - first]
        else:
            self.send_response(200)
        length = len(content)
        length += {"length too small": -100, "length too large": 100}.get(behaviour, 0)
        if behaviour == "no length":
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.end_headers()
        if not body:
            return
        cut = behaviour in ("half always", "other content later") or (
            behaviour == "half, then whole" and attempt == 1
        )
        if cut and not (behaviour == "other content later" and attempt > 1):
            content = content[: len(content) // 2]
            self.close_connection = True
        if behaviour == "length too large":
            self.close_connection = True
        pace = 1.0 if behaviour == "one byte a second" else 0.0
        with suppress(OSError):
            for start in itertools.count(0, 1 if pace else len(content) or 1):
                part = content[start : start + (1 if pace else len(content))]
                if not part:
                    return
                self.wfile.write(part)
                time.sleep(pace)

    def _send(self, status: int, content: bytes, body: bool, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def _serving(content: bytes, other: bytes):
    """Run the server in a child, because threads do not survive the forks of the trial."""
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    listener.daemon_threads = True
    # A client that gives up is what happens here all the time.
    listener.handle_error = lambda *_: None
    listener.content, listener.other, listener.asked = content, other, Counter()
    child = os.fork()
    if child == 0:
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        thread.join()
        os._exit(0)
    port = listener.server_port
    listener.socket.close()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _load(url: str) -> bytes:
    """Fetch a checkpoint as every command does, and return the bytes of its weights."""
    from mmengine.runner.checkpoint import CheckpointLoader

    weights = CheckpointLoader.load_checkpoint(url, map_location="cpu")["state_dict"]
    return b"".join(tensor.numpy().tobytes() for _, tensor in sorted(weights.items()))


def _load_twice(url: str) -> bytes:
    """The same with what the first call has left, whole or not."""
    with suppress(Exception):
        _load(url)
    return _load(url)


def _download(url: str) -> bytes:
    """Fetch the file of a row of the zoo from a mirror."""
    from gcp_mm.zoo import find_row
    from gcp_mm.zoo.download import download_released

    # The weights of the small classifier have fewer parameters than any row.
    row = dataclasses.replace(find_row("resnet18_gcp_lrnorm"), parameters=1000)
    return download_released(row, url, retries=1).read_bytes()


def _download_twice(url: str) -> bytes:
    """The same, continued by a second call."""
    with suppress(Exception):
        _download(url)
    return _download(url)


DOORS: dict[str, Callable[[str], bytes]] = {
    "load_checkpoint": _load,
    "load_checkpoint, again": _load_twice,
    "zoo": _download,
    "zoo, again": _download_twice,
}


def _fetching(door: Callable[[str], bytes], url: str, out: Path) -> Callable[[], object]:
    """Return what fetches through a door, with caches of its own."""

    def work() -> None:
        import torch

        from gcp_mm.checkpoints import http_file
        from gcp_mm.zoo import download as transfer

        os.environ.update(GCP_MM_CACHE=str(out), no_proxy="*")
        torch.hub.set_dir(out / "hub")
        # They wait for minutes for a server that says nothing; the trial has not that long.
        http_file.PATIENCE = transfer.PATIENCE = 5.0
        try:
            content = door(url)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        (out / "sha256").write_text(hashlib.sha256(content).hexdigest())

    return work


def _sent(inputs: Inputs) -> tuple[bytes, bytes]:
    """Return the right file, and another one of the same size."""
    content = inputs.checkpoint.read_bytes()
    import torch

    other = torch.load(inputs.checkpoint, weights_only=True)
    for tensor in other["state_dict"].values():
        tensor += 1
    buffer = io.BytesIO()
    torch.save(other, buffer)
    return content, buffer.getvalue()


def run(inputs: Inputs, seconds: float, seed: int) -> int:
    """Fetch by every behaviour through every door, in random order while there is time.

    Args:
        inputs: See :func:`inputs.make_inputs`.
        seconds: Time to spend.
        seed: Order of the cases.

    Returns:
        Exit status.
    """
    end = time.monotonic() + seconds
    folder = inputs.folder / "server"
    folder.mkdir()
    outcome = Outcome("lying server")
    content, other = _sent(inputs)
    cases = [(behaviour, door) for behaviour in range(len(BEHAVIOURS)) for door in DOORS]
    random.Random(seed).shuffle(cases)
    # First the server as it should be: a door that refuses everything would hold.
    cases.sort(key=lambda case: BEHAVIOURS[case[0]] != "honest")
    with _serving(content, other) as url:
        for number, (behaviour, door) in enumerate(cases):
            if time.monotonic() > end:
                break
            out = folder / str(number)
            out.mkdir()
            # The server counts what it was asked by the whole address.
            address = f"{url}/{behaviour}/{number}/weights.pth"
            ended = run_forked(_fetching(DOORS[door], address, out), patience=40)
            case = f"{BEHAVIOURS[behaviour]} at {door}"
            digest = out / "sha256"
            found = digest.read_text() if digest.exists() else None
            # A server that has another file from the start tells no lie.
            sent = {"other content": other, "one byte too many": content + b"\0"}
            allowed = _digests(sent.get(BEHAVIOURS[behaviour], content))
            if ended.crashed:
                outcome.failed(case, f"crashed: {ended.last_line}")
            elif ended.code == 2 and BEHAVIOURS[behaviour] != "honest":
                outcome.held()
            elif found in allowed:
                outcome.held()
            elif found in _digests(other) and BEHAVIOURS[behaviour] == "other content later":
                outcome.held()
            else:
                outcome.failed(case, f"other weights: {ended.last_line}")
    return outcome.report()


def _digests(content: bytes) -> set[str]:
    """Return the digests that the two kinds of doors give for a file."""
    import torch

    weights = torch.load(io.BytesIO(content), weights_only=True)["state_dict"]
    joined = b"".join(tensor.numpy().tobytes() for _, tensor in sorted(weights.items()))
    return {hashlib.sha256(part).hexdigest() for part in (content, joined)}
