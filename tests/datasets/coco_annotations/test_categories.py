"""Categories go by their names."""

import itertools

import pytest

from gcp_mm.datasets.coco_annotations.categories import arrange_categories
from gcp_mm.errors import UserError


def content(**ids):
    return {
        "categories": [dict(id=number, name=name) for name, number in ids.items()],
        "annotations": [dict(category_id=number, iscrowd=0) for number in ids.values()],
    }


@pytest.mark.parametrize("classes", itertools.permutations(["dog", "cat", "cow"]))
@pytest.mark.parametrize("ids", [dict(cat=1), dict(cow=2, cat=1), dict(cat=3, dog=1), dict(cow=9)])
def test_no_class_has_the_id_of_another_in_the_file(classes, ids):
    arranged = arrange_categories(content(**ids), classes, "a.json", allow_missing=True)
    found = dict(zip(classes, arranged.file_ids, strict=True))
    assert len(set(found.values())) == len(set(arranged.ids)) == 3
    assert {name: found[name] for name in ids} == ids
    assert not {found[name] for name in classes if name not in ids} & set(ids.values())


def test_part_of_the_classes_names_the_setting_first():
    with pytest.raises(UserError, match=r"lacks 'dog'. Set allow_missing=True of .* Or: Write"):
        arrange_categories(content(cat=1), ("cat", "dog"), "a.json", allow_missing=False)
    with pytest.raises(UserError, match=r"lacks 'dog'. Write .*; allow_missing=True"):
        arrange_categories(content(cat=1, cow=2), ("cat", "dog"), "a.json", allow_missing=False)
