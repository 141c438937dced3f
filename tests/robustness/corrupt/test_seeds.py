import hashlib

import pytest

from gcp_mm.robustness.corrupt.cells import derive_seed

PARTS = (0, "fog/1", "cat/one")


def test_the_seed_is_that_of_the_digest():
    expected = hashlib.sha256(b"0\0fog/1\0cat/one").hexdigest()[:8]
    assert derive_seed(*PARTS) == int(expected, 16)


@pytest.mark.parametrize(
    "other", [(1, "fog/1", "cat/one"), (0, "fog/2", "cat/one"), (0, "fog/1", "cat/two")]
)
def test_every_part_counts(other):
    assert derive_seed(*other) != derive_seed(*PARTS)


def test_parts_do_not_run_together():
    assert derive_seed(0, "ab", "c") != derive_seed(0, "a", "bc")
