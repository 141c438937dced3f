"""A file server that can be as bad as a real one, and rows with small files."""

import dataclasses
import http.server
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local_server import serving_files

from gcp_mm.zoo import Row, find_row


@pytest.fixture
def server(monkeypatch) -> Iterator[http.server.ThreadingHTTPServer]:
    """See :func:`local_server.serving_files`."""
    with serving_files(monkeypatch) as listener:
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
