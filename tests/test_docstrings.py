"""The examples of the docstrings give what they say.

pytest's own collection of doctests looks through every test file for them, too.
"""

import doctest
from importlib import import_module

import pytest
from shared_folder import REPO

MODULES = sorted(
    ".".join(path.relative_to(REPO).with_suffix("").parts)
    for path in (REPO / "gcp_mm").rglob("*.py")
    if ">>> " in path.read_text()
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name):
    found = doctest.testmod(import_module(name), verbose=False)
    assert found.attempted and not found.failed
