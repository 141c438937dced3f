import hashlib
import os

import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.corrupt.cells import choose_cells, derive_seed


def keys(*args, **kwargs):
    return [cell.key for cell in choose_cells(*args, **kwargs)]


@pytest.mark.parametrize(
    ("names", "number"), [(None, 95), (["benchmark"], 75), (["extra"], 20), (["noise", "fog"], 20)]
)
def test_names_and_groups(names, number):
    found = keys("imagenet-c", names)
    assert len(found) == len(set(found)) == number


def test_order_is_canonical():
    assert keys("imagenet-c", ["saturate", "snow"], [5, 1, 5]) == [
        "snow/1",
        "snow/5",
        "saturate/1",
        "saturate/5",
    ]
    assert keys("imagenet-p", perturbations=["tilt", "shot_noise"]) == ["shot_noise", "tilt"]
    assert len(keys("imagenet-p")) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("imagenet-c", ["rain"]), "'rain'"),
        (("imagenet-c", ["fog"], [0, 1]), "severity 0: expected are 1 to 5"),
        (("imagenet-c", ["fog"], None, ["tilt"]), "--perturbations does not belong .* imagenet-c"),
        (("imagenet-p", ["fog"]), "--corruptions does not belong .* imagenet-p"),
        (("imagenet-p", None, [1]), "--severities does not belong"),
        (("imagenet-p", None, None, ["fog"]), "'fog'"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        choose_cells(*arguments)


PARTS = (0, "fog/1", "cat/one")


def test_the_seed_is_that_of_the_digest():
    expected = hashlib.sha256(b"0\0fog/1\0cat/one").hexdigest()[:8]
    assert derive_seed(*PARTS) == int(expected, 16)
    expected = hashlib.sha256(b"0\0fog/1\0cat/caf\xe9").hexdigest()[:8]
    assert derive_seed(0, "fog/1", os.fsdecode(b"cat/caf\xe9")) == int(expected, 16)


@pytest.mark.parametrize(
    "other", [(1, "fog/1", "cat/one"), (0, "fog/2", "cat/one"), (0, "fog/1", "cat/two")]
)
def test_every_part_counts(other):
    assert derive_seed(*other) != derive_seed(*PARTS)


def test_parts_do_not_run_together():
    assert derive_seed(0, "ab", "c") != derive_seed(0, "a", "bc")
