"""The folders of cells, and their files."""

import os

import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.data.listing import (
    Listing,
    common_listing,
    corruption_cells,
    perturbation_cells,
)


@pytest.fixture
def cells(tmp_path):
    """Return two cells with two classes of two images, and files that are none."""
    for cell in ("fog/1", "fog/2"):
        for name in ("b/1.JPEG", "b/2.png", "a/2.JPEG", "a/1.JPEG", "a/.1.JPEG", "a/notes.txt"):
            path = tmp_path / cell / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (tmp_path / cell / ".cache").mkdir()
        (tmp_path / cell / ".cache/3.JPEG").touch()
        (tmp_path / cell / "list.JPEG").touch()
    return {"fog/1": tmp_path / "fog/1", "fog/2": tmp_path / "fog/2"}


def test_files_are_sorted_and_others_left_out(cells):
    listing = common_listing(cells, (".jpeg", ".png"))
    assert listing.files == ("a/1.JPEG", "a/2.JPEG", "b/1.JPEG", "b/2.png")
    assert listing.classes == ("a", "b")


@pytest.mark.parametrize("cell", ["fog/1", "fog/2"])
def test_short_cell_is_named(cells, cell):
    (cells[cell] / "b/2.png").unlink()
    with pytest.raises(UserError) as error:
        common_listing(cells, (".jpeg", ".png"))
    assert f"{str(cells[cell])!r} has 3 of 4" in str(error.value)
    assert "missing: b/2.png" in str(error.value)


@pytest.fixture
def five(tmp_path):
    """Return five cells with three images of two classes."""
    cells = {f"fog/{severity}": tmp_path / f"fog/{severity}" for severity in range(1, 6)}
    for folder in cells.values():
        for name in ("a/1.JPEG", "a/2.JPEG", "b/1.JPEG"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    return cells


def add_class(folder):
    (folder / "c").mkdir()
    (folder / "c/1.JPEG").touch()


def rename(folder):
    (folder / "a/2.JPEG").rename(folder / "a/2.png")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (add_class, ["has 1 files that others lack: c/1.JPEG"]),
        (rename, ["has 2 of 3 files", "missing: a/2.JPEG", "others lack: a/2.png"]),
        (lambda folder: (folder / "a/2.JPEG").unlink(), ["has 2 of 3", "missing: a/2.JPEG"]),
    ],
)
@pytest.mark.parametrize("odd", ["fog/1", "fog/3", "fog/5"])
def test_the_odd_cell_is_named_and_not_a_good_one(five, odd, change, parts):
    change(five[odd])
    with pytest.raises(UserError) as error:
        common_listing(five, (".jpeg", ".png"))
    message = str(error.value)
    assert message.startswith(f"{str(five[odd])!r} ")
    assert [part for part in [*parts, "4 of 5 cells"] if part not in message] == []


def test_two_odd_cells_are_counted(five):
    add_class(five["fog/1"])
    rename(five["fog/4"])
    with pytest.raises(UserError, match=r"fog/1' has 1 files.*1 more cells differ: fog/4"):
        common_listing(five, (".jpeg", ".png"))


def test_a_link_to_nothing_is_named(five):
    for folder in five.values():
        (folder / "a/3.JPEG").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"fog/1': 1 files are links to nothing: a/3\.JPEG"):
        common_listing(five, (".jpeg",))


def test_empty_cells_are_named(cells):
    with pytest.raises(UserError, match="no file <class>/<name>"):
        common_listing(cells, (".mp4",))


def test_digest_follows_the_names():
    files = ("a/1", "a/2")
    assert Listing(files).sha256 == Listing(files).sha256 != Listing(files[:1]).sha256
    names = [Listing((os.fsdecode(name),)).sha256 for name in (b"a/\xe9", b"a/\xe8", b"a/\xc3\xa9")]
    assert len(set(names)) == 3


@pytest.mark.parametrize("number", [1, 3, 7, 20])
def test_sample_is_even(number):
    listing = Listing(tuple(f"{index // 4}/{index:02}" for index in range(20)))
    chosen = listing.sample(number).files
    assert len(set(chosen)) == number
    gaps = {int(b[2:]) - int(a[2:]) for a, b in zip(chosen, chosen[1:], strict=False)}
    assert len(gaps) <= 2 and max(gaps, default=1) - min(gaps, default=1) <= 1


def test_sample_of_too_many_is_refused():
    with pytest.raises(UserError, match="--num-samples 3: a cell has 2 files"):
        Listing(("a/1", "a/2")).sample(3)


def test_long_listing_shows_how_far_it_is(cells, impatient, capsys):
    common_listing(cells, (".jpeg", ".png"))
    errors = capsys.readouterr().err
    assert "listing cells:\n" in errors and "] 2/2, " in errors


@pytest.mark.parametrize("around", ["", "weather"])
def test_flat_and_grouped_layout(tmp_path, around):
    for severity in (1, 4):
        (tmp_path / around / "fog" / str(severity)).mkdir(parents=True)
    folders = corruption_cells(tmp_path, ["fog"], [4, 1])
    expected = tmp_path / around / "fog"
    assert folders == {"fog/1": expected / "1", "fog/4": expected / "4"}


def test_difficulty_changes_the_folder_of_noise(tmp_path):
    for name in ("shot_noise", "shot_noise_3", "tilt"):
        (tmp_path / name).mkdir()
    assert list(perturbation_cells(tmp_path, ["shot_noise", "tilt"], 3)) == ["shot_noise_3", "tilt"]
    with pytest.raises(UserError, match="shot_noise_2 is missing"):
        perturbation_cells(tmp_path, ["shot_noise", "tilt"], 2)
    # Also where no folder is missing.
    with pytest.raises(UserError, match="difficulty 4: expected is one of"):
        perturbation_cells(tmp_path, ["tilt"], 4)


def test_ambiguous_folder_is_named(tmp_path):
    for group in ("weather", "copy"):
        (tmp_path / group / "fog/1").mkdir(parents=True)
    with pytest.raises(UserError, match="fog is there several times"):
        corruption_cells(tmp_path, ["fog"], [1])
