"""A server on this machine, for tests of what downloads."""

import http.server
import threading
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
