"""What is timed has to agree with the printed form in float64, on either side of N = C."""

import importlib
import json

import pytest
import torch


@pytest.fixture
def family(monkeypatch):
    module = importlib.import_module("family")
    monkeypatch.setattr(module, "SKETCH", 64)
    torch.manual_seed(0)
    return module


@pytest.mark.parametrize("side", [6, 7])
def test_every_member_agrees_and_the_report_is_json(family, side):
    # On fewer positions a ReLU leaves products of channels that are zero in all of them.
    rows = family.measure((2, 40, side, side), repetitions=2)
    assert len(rows) == 10 and "CBP 64" in rows
    json.dumps(rows, allow_nan=False)
    for name, row in rows.items():
        assert max(row["errors"]) < 1e-3, name


def test_what_differs_is_refused(family):
    pool, form = family.members(8)["MTP"]
    for wrong in (lambda x: form(x) * (1 + 1e-8), lambda x: form(x).detach() + 0 * x.sum()):
        with pytest.raises(SystemExit, match=r"MTP, \(2, 8, 3, 3\): value and gradient differ"):
            family.exact("MTP", pool, wrong, family.draw((2, 8, 3, 3), pool.out_channels))


def test_a_printed_gradient_that_is_no_number_is_left_out(family):
    pool, form = family.members(8)["covariance (DropCov)"]

    def singular(x):
        return form(x) + 0 * (x - x).abs().sqrt().sum()

    drawn = family.draw((2, 8, 3, 3), pool.out_channels)
    value, gradient = family.exact("covariance (DropCov)", pool, singular, drawn)
    assert gradient.isfinite().all() and value.dtype == gradient.dtype == torch.float64
    assert family.both(singular, drawn)[1].isnan().all()
    assert family.difference(*(family.both(layer, drawn)[1] for layer in (singular, form))) is None


def test_measuring_leaves_a_layer_as_it_was(family):
    pool, form = family.members(8)["svPN"]
    before = {name: value.clone() for name, value in pool.state_dict().items()}
    family.exact("svPN", pool, form, family.draw((2, 8, 3, 3), pool.out_channels))
    assert all(torch.equal(value, before[name]) for name, value in pool.state_dict().items())
