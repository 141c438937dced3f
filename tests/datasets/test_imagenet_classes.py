import hashlib
import re
from collections.abc import Mapping

import pytest

from gcp_mm.datasets.imagenet_classes import imagenet_wnids, wnid_to_index

# Of timm/data/_info/imagenet_synsets.txt in timm 1.0.15.
SHA256 = "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15"
# First name of the class in WordNet.
NAMES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
    "n15075141": "toilet tissue",
}


def test_table_is_the_published_one():
    wnids = imagenet_wnids()
    assert len(set(wnids)) == len(wnids) == 1000
    assert list(wnids) == sorted(wnids)
    assert hashlib.sha256("".join(f"{wnid}\n" for wnid in wnids).encode()).hexdigest() == SHA256


def test_mapping_is_the_inverse_of_the_order_and_cannot_be_changed():
    table = wnid_to_index()
    assert [table[wnid] for wnid in imagenet_wnids()] == list(range(1000))
    assert isinstance(table, Mapping) and not hasattr(table, "__setitem__")


@pytest.mark.parametrize(("wnid", "name"), NAMES.items())
def test_indices_are_those_of_other_libraries(wnid, name):
    categories = pytest.importorskip("mmpretrain.datasets.categories").IMAGENET_CATEGORIES
    names = pytest.importorskip("torchvision.models._meta")._IMAGENET_CATEGORIES
    index = wnid_to_index()[wnid]
    assert name in categories[index].split(", ")
    assert names[index].lower() == name.lower()


def test_indices_are_those_of_the_real_images(shared):
    text = (shared / "data/README.md").read_text()
    rows = re.findall(r"^\| (n\d{8}) \| .+? \| (\d+) \|", text, re.MULTILINE)
    assert len(rows) == 10
    assert [wnid_to_index()[wnid] for wnid, _ in rows] == [int(index) for _, index in rows]
