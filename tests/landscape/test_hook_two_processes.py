"""Two processes with half the batch each measure what one process measures with the whole batch."""

import numpy as np
import pytest

from gcp_mm.landscape.records import read_records


@pytest.fixture
def runs(trained_by_one, trained_by_two):
    """Return the headers and records of one process and of two."""
    return [read_records(folder / "landscape.jsonl") for folder in (trained_by_one, trained_by_two)]


def test_each_iteration_is_written_once(runs):
    # Its statistics are the running ones, which do not depend on the share of a process.
    assert runs[0][0]["settings"] == runs[1][0]["settings"]
    for header, records in runs:
        assert header["settings"]["batch_size"] == 4
        assert [(r["step"], r["batch_size"]) for r in records] == [(step, 4) for step in range(12)]


def test_numbers_are_those_of_one_process(runs):
    (_, one), (_, two) = runs
    for expected, found in zip(one, two, strict=True):
        for name in ("etas", "loss", "losses", "grad_norm", "grad_diffs", "beta", "cosine"):
            np.testing.assert_allclose(
                found[name], expected[name], rtol=1e-4, atol=1e-6, err_msg=name
            )
    # Half of the batch does not give them by chance.
    assert abs(two[0]["loss"] / two[1]["loss"] - 1) > 1e-2
