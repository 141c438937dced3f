"""The scripts of the benchmarks import what lies beside them."""

import pytest


@pytest.fixture(autouse=True)
def beside_the_scripts(monkeypatch, repo):
    monkeypatch.syspath_prepend(repo / "benchmarks")
