"""A server that answers like the Hugging Face Hub, or as it does when something is wrong."""

import hashlib
import http.server
import importlib
import time

import pytest
from local_server import serving

COMMIT = "1" * 40


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve ``server.files``, by ``OWNER/NAME/FILE``, in the revisions main and v1."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        time.sleep(self.server.delay)
        self.answer(body=True)

    def answer(self, body):
        self.server.requests.append((self.command, self.path, self.headers.get("Authorization")))
        repository, _, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        known = {name.rsplit("/", 1)[0] for name in self.server.files}
        if status := self.server.status:
            return self.refuse(status)
        if repository == "owner/gated":
            return self.refuse(403, "GatedRepo")
        if not any(name == repository or name.startswith(repository + "/") for name in known):
            return self.refuse(404 if self.headers.get("Authorization") else 401, "RepoNotFound")
        if revision not in ("main", "v1", COMMIT):
            return self.refuse(404, "RevisionNotFound")
        content = self.server.files.get(f"{repository}/{file}")
        if content is None:
            return self.refuse(404, "EntryNotFound")
        digest = self.server.digest or hashlib.sha256(content).hexdigest()
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{digest}"')
        self.send_header("X-Linked-Etag", f'"{digest}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[: -self.server.missing or None])
            self.close_connection = bool(self.server.missing)
        return None

    def refuse(self, status, code=None):
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub_files(monkeypatch, tmp_path):
    """Run the server and let huggingface_hub ask it, and keep files in ``cache``.

    ``files`` is what it has, ``requests`` what it was asked, ``stop()`` ends it.
    """
    constants = pytest.importorskip("huggingface_hub.constants")
    with serving(Handler, monkeypatch) as listener:
        listener.files, listener.requests = {}, []
        listener.status = listener.digest = None
        listener.missing = listener.delay = 0
        listener.cache = tmp_path / "hub_cache"
        # It reads its environment when it is imported.
        template = f"{listener.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", listener.url)
        for module in (constants, importlib.import_module("huggingface_hub.file_download")):
            # Before 1.0 the second one had a copy.
            monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(listener.cache))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        yield listener
