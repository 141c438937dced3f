import logging

import pytest
from mmengine.registry import DATASETS
from PIL import Image

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


def test_an_empty_folder_that_is_allowed_is_named(tree, log):
    dataset = ClassFolder(data_root=tree("cat", "dog", empty=["cat"]), allow_missing=True)
    assert [label for _, label in labels(dataset)] == [1, 1]
    line = log()[-1]
    assert "1 of 2 class folders hold no image" in line and line.endswith("): cat")


def test_images_without_labels(tree):
    dataset = ClassFolder(data_root=tree("cat", "dog"), with_label=False)
    assert len(dataset) == 4
    assert "gt_label" not in dataset.get_data_info(0)


def test_every_kind_of_image_is_trained_and_the_rest_named(tree, tmp_path, log):
    root = tree("cat", "dog")
    for name in ("a.webp", "b.tiff", "c.jfif", ".ipynb_checkpoints/d-checkpoint.jpg", "e.heic"):
        (tmp_path / "cat" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "cat" / name).touch()
    dataset = ClassFolder(data_root=root)
    assert [name for name, label in labels(dataset) if label == 0] == [
        *("cat/a.PNG", "cat/a.webp", "cat/b.jpg", "cat/b.tiff", "cat/c.jfif")
    ]
    (line,) = log(logging.INFO)
    assert "left out 3 files that are no images by their ending (.txt 2, .heic 1)" in line
    assert "cat/e.heic" in line and "cat/.ipynb_checkpoints" in line


def test_hidden_folders_are_no_images_without_labels_either(tree, tmp_path):
    root = tree("cat", ".ipynb_checkpoints", "@eaDir")
    assert len(ClassFolder(data_root=root, with_label=False)) == 2


@pytest.mark.parametrize("options", [{}, dict(ann_file="list.txt", classes=["cat", "dog"])])
def test_evaluation_refuses_a_link_to_nothing_by_name(tree, tmp_path, options):
    root = tree("cat", "dog")
    (tmp_path / "dog/c.jpg").symlink_to("/nowhere/c.jpg")
    (tmp_path / "list.txt").write_text("cat/a.PNG 0\ndog/c.jpg 1\n")
    with pytest.raises(UserError, match=r"dog/c\.jpg.*Evaluation skips no image"):
        ClassFolder(data_root=root, test_mode=True, **options)


def test_training_counts_a_link_to_nothing_as_unreadable(tree, tmp_path, log):
    root = tree("cat", "dog")
    for path in tmp_path.glob("*/*"):
        Image.new("RGB", (8, 8)).save(path, "PNG")
    link = tmp_path / "dog/c.jpg"
    link.symlink_to("/nowhere/c.jpg")
    build = dict(data_root=root, pipeline=[dict(type="gcp_mm.LoadImage")])
    dataset = ClassFolder(**build)
    assert len(dataset) == 5
    assert dataset[4]["img_path"] != str(link)
    assert f"skipped {str(link)!r}" in log()[-1] and "1 of at most 10" in log()[-1]
    with pytest.raises(UserError, match="1 images cannot be read, and max_unreadable=0"):
        ClassFolder(max_unreadable=0, **build)[4]


def test_classes_come_from_a_file_as_they_are_written(tree, tmp_path):
    root = tree("0", "10", "2")
    names = tmp_path / "names.txt"
    names.write_bytes("\ufeff2\r\n10\r\n0\r\n".encode())
    dataset = ClassFolder(data_root=root, classes=str(names))
    assert dataset.metainfo["classes"] == ("2", "10", "0")
    assert labels(dataset)[0] == ("0/a.PNG", 2)
    for same in (dict(classes=names), dict(metainfo=dict(classes=[2, 10, 0]))):
        other = ClassFolder(data_root=root, **same)
        assert other.metainfo["classes"] == dataset.metainfo["classes"]


def test_names_that_look_alike_are_told_apart(tree):
    with pytest.raises(UserError, match="differ in how accents are stored: 'caf\u00e9' and 'cafe"):
        ClassFolder(data_root=tree("cafe\u0301", "dog"), classes=["caf\u00e9", "dog"])


@pytest.mark.parametrize("classes", [{"cat", "dog"}, {"cat": 1, "dog": 0}])
def test_classes_without_places_have_no_labels(tree, classes):
    with pytest.raises(UserError, match=r"does not give it; write .* \['cat', 'dog', \.\.\.\]"):
        ClassFolder(data_root=tree("cat", "dog"), classes=classes)


def test_a_list_of_a_windows_tool_is_read(tree, tmp_path, log):
    root = tree("cat", "dog")
    text = "cat\\a.PNG\t0\r\ndog\\b.jpg\tdog\r\n"
    (tmp_path / "list.txt").write_bytes(text.encode("utf-16"))
    build = dict(data_root=root, ann_file="list.txt", classes=["cat", "dog"])
    for test_mode in (False, True):
        dataset = ClassFolder(test_mode=test_mode, **build)
        assert labels(dataset) == [("cat/a.PNG", 0), ("dog/b.jpg", 1)]
    assert "took the backslashes of 2 paths as slashes" in log(logging.INFO)[-1]


def test_each_line_of_a_windows_tool_is_counted(tree, tmp_path, log):
    """A list may have an image several times, to show it more often."""
    (tmp_path / "list.txt").write_text("cat\\a.PNG 0\n" * 3 + "cat/b.jpg 0\n")
    ClassFolder(data_root=tree("cat"), ann_file="list.txt", classes=["cat"])
    assert "took the backslashes of 3 paths as slashes" in log(logging.INFO)[-1]


def test_a_list_without_labels_skips_empty_lines(tree, tmp_path):
    root = tree("cat")
    (tmp_path / "list.txt").write_text("cat/a.PNG\n\ncat/b.jpg\n")
    dataset = ClassFolder(data_root=root, ann_file="list.txt", with_label=False)
    assert [dataset.get_data_info(i)["img_path"][-5:] for i in range(2)] == ["a.PNG", "b.jpg"]
    assert len(dataset) == 2


def test_long_listing_shows_how_far_it_is(tree, impatient, capsys):
    DATASETS.build(dict(type="gcp_mm.ClassFolder", data_root=tree("dog", "cat")))
    errors = capsys.readouterr().err
    assert "listing the folders of '" in errors and "] 2/2, " in errors
