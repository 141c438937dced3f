import hashlib
import shutil

import pytest

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
    with pytest.raises(UserError, match="nowhere' is not a folder"):
        list_sources(tmp_path / "nowhere")
