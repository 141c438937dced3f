"""Which files are images."""

import os
from pathlib import Path

import pytest

from gcp_mm.errors import UserError
from gcp_mm.images.names import is_image_name, is_system_name, list_image_files

SYSTEM = [
    ".ipynb_checkpoints",
    ".DS_Store",
    "._x.jpg",
    "__MACOSX",
    "Thumbs.db",
    "@eaDir",
    "$RECYCLE.BIN",
    "lost+found",
    "~$list.docx",
]


@pytest.fixture
def tree(tmp_path):
    """Return a function that makes empty files."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


@pytest.mark.parametrize("name", SYSTEM)
def test_system_names_are_left_out_at_every_depth(tree, name):
    assert is_system_name(name)
    root = tree("cat/1.jpg", f"{name}/2.jpg", f"cat/{name}/3.jpg", f"cat/deep/{name}/4.jpg")
    found = list_image_files(root)
    assert (found.folders, found.files) == (["cat"], ["cat/1.jpg"])
    assert sorted(found.left_out.system) == sorted(
        [name, f"cat/{name}", f"cat/deep/{name}"],
    )
    assert not is_image_name(f"cat/{name}/1.jpg")


@pytest.mark.parametrize("name", ["recycle", "macosx", "cat.jpg.d", "found"])
def test_other_names_stay(tree, name):
    assert list_image_files(tree(f"{name}/1.jpg")).files == [f"{name}/1.jpg"]


@pytest.mark.parametrize(
    "ending", ["jpg", "JPEG", "jfif", "png", "webp", "tif", "TIFF", "bmp", "gif", "pgm", "avif"]
)
def test_endings_of_images(tree, ending):
    assert list_image_files(tree(f"a/1.{ending}")).files == [f"a/1.{ending}"]


def test_what_is_left_out_is_counted_and_named(tree):
    root = tree("a/1.jpg", "a/1.heic", "a/2.heic", "a/list", "b/1.png", "read.txt", ".git/config")
    found = list_image_files(root)
    line = found.left_out.describe("data", [".jpg", ".png"])
    assert line == (
        "'data': left out 4 files that are no images by their ending (.heic 2, none 1, .txt 1): "
        "a/1.heic, a/2.heic, a/list, read.txt; images end in .jpg, .png; 1 hidden or system names: "
        ".git"
    )


def test_names_of_another_encoding_can_be_logged(tree):
    root = tree("a/1.jpg", "a/\x1b[31mred.heic", os.fsdecode(b"a/caf\xe9.heic"))
    line = list_image_files(root).left_out.describe("data", [".jpg"])
    assert ": a/\ufffd[31mred.heic, a/caf\ufffd.heic; images" in line and line.encode()


def test_folders_are_in_the_order_of_their_names(tree):
    root = tree("a b/1.jpg", "a/z.jpg", "a/b/1.jpg", "a-b/1.jpg", "10/1.jpg", "9/1.jpg")
    found = list_image_files(root)
    assert found.folders == ["10", "9", "a", "a b", "a-b"]
    assert found.files == ["10/1.jpg", "9/1.jpg", "a/b/1.jpg", "a/z.jpg", "a b/1.jpg", "a-b/1.jpg"]


def test_a_pipe_is_no_image(tree):
    root = tree("a/1.jpg")
    os.mkfifo(root / "a/2.jpg")
    found = list_image_files(root)
    assert (found.files, found.left_out.others) == (["a/1.jpg"], ["a/2.jpg"])


def test_links_are_followed_and_those_to_nothing_told_apart(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "5.jpg").touch()
    root = tree("a/1.jpg")
    (root / "b").symlink_to(elsewhere)
    (root / "a/2.jpg").symlink_to(elsewhere / "5.jpg")
    (root / "a/3.jpg").symlink_to(elsewhere / "6.jpg")
    (root / "a/4.jpg").symlink_to("4.jpg")
    found = list_image_files(root)
    assert found.files == ["a/1.jpg", "a/2.jpg", "a/3.jpg", "a/4.jpg", "b/5.jpg"]
    assert found.dangling == ["a/3.jpg", "a/4.jpg"]


@pytest.mark.parametrize("target", ["..", ".", "../../{name}", "../b"])
def test_links_that_loop_are_named(tree, target):
    root = tree("a/1.jpg", "b/1.jpg")
    (root / "a/again").symlink_to(target.format(name=root.name))
    if target == "../b":
        (root / "b/again").symlink_to("../a")
    with pytest.raises(UserError, match=r"again' leads back to a folder above it"):
        list_image_files(root)


def test_a_class_that_is_a_link_to_nothing_is_named(tree):
    root = tree("a/1.jpg")
    (root / "b").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"b' is a link to nothing \('nowhere'\)"):
        list_image_files(root)


def test_links_that_cannot_even_be_looked_at(tree):
    """Emacs locks a file with such a hidden link; the name of the target is too long for a file."""
    root = tree("a/1.jpg")
    (root / "a/.#2.jpg").symlink_to("x" * 300)
    (root / "a/3.jpg").symlink_to("x" * 300)
    found = list_image_files(root)
    assert found.left_out.system == ["a/.#2.jpg"]
    assert (found.files, found.dangling) == (["a/1.jpg", "a/3.jpg"], ["a/3.jpg"])


def test_hidden_links_are_not_followed(tree, monkeypatch):
    root = tree("a/1.jpg")
    (root / "a/.2.jpg").symlink_to("1.jpg")
    looked_at, exists = [], Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: looked_at.append(path.name) or exists(path))
    assert list_image_files(root).left_out.system == ["a/.2.jpg"]
    assert ".2.jpg" not in looked_at
