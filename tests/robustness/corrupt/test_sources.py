import hashlib
import os
import shutil

import pytest

from gcp_mm.datasets import ClassFolder
from gcp_mm.errors import UserError
from gcp_mm.robustness.corrupt.sources import classes_of, digest, list_sources


def names(sources):
    return [source.name for source in sources]


def test_images_are_listed_by_class_and_name(photos):
    sources = list_sources(photos)
    assert names(sources) == ["cat/one", "cat/two", "dog/one", "dog/two"]
    assert classes_of(sources) == ["cat", "dog"]
    assert names(list_sources(photos, limit=1)) == ["cat/one", "dog/one"]


def test_the_digest_covers_names_and_contents(photos, tmp_path):
    sources = list_sources(photos)
    lines = [
        f"{name} {hashlib.sha256((photos / name).read_bytes()).hexdigest()}\n"
        for name in ("cat/one.JPEG", "cat/two.png", "dog/one.JPEG", "dog/two.png")
    ]
    assert digest(sources) == hashlib.sha256("".join(lines).encode()).hexdigest()
    copy = tmp_path / "copy"
    shutil.copytree(photos, copy)
    assert digest(list_sources(copy)) == digest(sources)
    # As an archive of another encoding leaves it.
    (copy / "dog" / "two.png").rename(copy / "dog" / os.fsdecode(b"caf\xe9.png"))
    assert digest(list_sources(copy)) != digest(sources)
    (copy / "cat" / "one.JPEG").rename(copy / "cat" / "three.JPEG")
    assert digest(list_sources(copy)) != digest(sources)


def test_an_unreadable_file_is_named(photos, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(photos, copy)
    sources = list_sources(copy)
    (copy / "dog" / "two.png").unlink()
    with pytest.raises(UserError, match=r"1 images cannot be read: .*dog/two\.png"):
        digest(sources)


@pytest.mark.parametrize(
    ("files", "limit", "message"),
    [
        (["a/x.png"], 0, "--limit 0: at least 1"),
        ([], None, "holds no class folders"),
        (["x.png"], None, "holds no class folders"),
        (["a/x.png", "b/x.txt"], None, "b' holds no image"),
        ([os.fsdecode(b"caf\xe9/x.png")], None, r"caf\\udce9' has a name that is no UTF-8: rename"),
        (["a/x.png", "a/x.jpg"], None, r"a/x\.jpg' and 'x\.png' would become the same file"),
    ],
)
def test_mistakes_are_named(tmp_path, files, limit, message):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(UserError, match=message):
        list_sources(tmp_path, limit)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere' does not exist"):
        list_sources(tmp_path / "nowhere")


def test_they_are_the_images_that_training_takes(tmp_path):
    files = ["a/1.jpg", "a/x/2.webp", "a/.ipynb_checkpoints/1.jpg", "a-b/3.JFIF", "a/4.txt"]
    for file in [*files, "@eaDir/5.jpg"]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    sources = list_sources(tmp_path)
    trained = ClassFolder(data_root=str(tmp_path))
    paths = [trained.get_data_info(index)["img_path"] for index in range(len(trained))]
    assert [str(source.path) for source in sources] == paths
    assert names(sources) == ["a/1", "a/x/2", "a-b/3"]
    assert classes_of(sources) == ["a", "a-b"]


def test_a_link_to_nothing_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"1 images are links to nothing: a/1\.jpg"):
        list_sources(tmp_path)
