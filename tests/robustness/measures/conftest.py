"""Published numbers."""

import json

import pytest


@pytest.fixture(scope="session")
def published(shared):
    """Read a published table by its name."""

    def read(name: str) -> dict:
        return json.loads((shared / f"data/imagenet_c_tables/{name}.json").read_text())

    return read
