import logging

import pytest
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS

from gcp_mm.datasets import ClassFolder
from gcp_mm.errors import UserError


@pytest.fixture
def tree(tmp_path):
    """Return a function that makes class folders with two files each."""

    def make(*folders, empty=()):
        for name in folders:
            (tmp_path / name).mkdir()
            for file in [] if name in empty else ["b.jpg", "a.PNG", "notes.txt"]:
                (tmp_path / name / file).touch()
        return str(tmp_path)

    return make


def labels(dataset):
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [
        ("/".join(sample["img_path"].split("/")[-2:]), sample["gt_label"]) for sample in samples
    ]


def test_list_is_checked_against_the_classes(tree, tmp_path):
    root = tree("cat", "dog")
    build = dict(
        type="gcp_mm.ClassFolder", data_root=root, ann_file="list.txt", classes=["cat", "dog"]
    )
    (tmp_path / "list.txt").write_text("cat/a.PNG 0\ndog/b.jpg dog\n")
    assert labels(DATASETS.build(build)) == [("cat/a.PNG", 0), ("dog/b.jpg", 1)]
    (tmp_path / "list.txt").write_text("cat/a.PNG 0\ndog/b.jpg 7\n")
    with pytest.raises(UserError, match=r"line 2 .*'7' is neither a class index from 0 to 1"):
        DATASETS.build(build)


def test_sorted_folders_are_the_classes(tree):
    dataset = DATASETS.build(dict(type="gcp_mm.ClassFolder", data_root=tree("dog", "cat", ".git")))
    assert dataset.metainfo["classes"] == ("cat", "dog")
    assert labels(dataset) == [
        ("cat/a.PNG", 0),
        ("cat/b.jpg", 0),
        ("dog/a.PNG", 1),
        ("dog/b.jpg", 1),
    ]


def test_given_classes_fix_the_labels(tree):
    classes = ["zebra", "dog", "cat"]
    dataset = ClassFolder(data_root=tree("cat", "zebra"), classes=classes, allow_missing=True)
    assert dataset.metainfo["classes"] == tuple(classes)
    assert [label for _, label in labels(dataset)] == [2, 2, 0, 0]


@pytest.mark.parametrize(
    ("folders", "options", "parts"),
    [
        (["cat"], dict(classes=["cat", "dog"]), ["1 of 2 missing: dog"]),
        (["cat", "dgo"], dict(classes=["cat", "dog"]), ["missing: dog", "class table: dgo"]),
        ([], {}, ["holds no class"]),
        (
            ["cat", "dog"],
            dict(empty=["dog"]),
            ["1 of 2 class folders hold no image", ".jpg", "dog"],
        ),
        (["cat"], dict(empty=["cat"], allow_missing=True), ["1 of 1 class folders", "cat"]),
    ],
    ids=["missing", "misspelt", "none", "empty", "all empty"],
)
def test_wrong_trees_are_refused(tree, tmp_path, folders, options, parts):
    options = dict(options)
    root = tree(*folders, empty=options.pop("empty", ()))
    with pytest.raises(UserError) as error:
        ClassFolder(data_root=root, **options)
    assert [part for part in [str(tmp_path), *parts] if part not in str(error.value)] == []


def test_an_empty_folder_that_is_allowed_is_named(tree, caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.WARNING):
            dataset = ClassFolder(data_root=tree("cat", "dog", empty=["cat"]), allow_missing=True)
    finally:
        logger.removeHandler(caplog.handler)
    assert [label for _, label in labels(dataset)] == [1, 1]
    assert "1 of 2 class folders hold no image" in caplog.text and "cat" in caplog.text


def test_images_without_labels(tree):
    dataset = ClassFolder(data_root=tree("cat", "dog"), with_label=False)
    assert len(dataset) == 4
    assert "gt_label" not in dataset.get_data_info(0)
