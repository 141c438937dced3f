"""Files with the top-5 of frames."""

import io
import zipfile

import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.top5_file import (
    Top5,
    find_top5,
    join,
    read_top5,
    top5_path,
    write_top5,
)


def some(clips: list[int]) -> Top5:
    lengths = np.array([2 + clip % 3 for clip in clips], np.int32)
    frames = [np.full((2 + clip % 3, 5), clip) for clip in clips]
    classes = np.concatenate([np.zeros((0, 5)), *frames]).astype(np.int16)
    return Top5(np.array(clips, np.int32), lengths, classes)


def same(one: Top5, other: Top5) -> bool:
    return all(np.array_equal(getattr(one, k), getattr(other, k)) for k in vars(one))


def test_file_gives_back_what_was_written(tmp_path):
    path = top5_path(tmp_path / "run.json", "tilt")
    write_top5(path, some([0, 1, 2]))
    assert path == tmp_path / "run_top5/tilt.npz"
    assert same(read_top5(path), some([0, 1, 2]))
    assert [len(clip) for clip in read_top5(path).split()] == [2, 3, 4]


def test_results_whose_names_end_alike_have_their_own_files(tmp_path):
    names = ("net_0.1", "net_0.2", "net_0.2.json", "net.v2.json")
    folders = [top5_path(tmp_path / name, "tilt").parent.name for name in names]
    assert folders == ["net_0.1_top5", "net_0.2_top5", "net_0.2_top5", "net.v2_top5"]


def test_files_of_earlier_versions_are_found(tmp_path):
    results = tmp_path / "net_0.1"
    path, earlier = top5_path(results, "tilt"), tmp_path / "net_0_top5/tilt.npz"
    assert find_top5(results, "tilt") == path
    write_top5(earlier, some([0]))
    assert find_top5(results, "tilt") == earlier
    write_top5(path, some([1]))
    assert find_top5(results, "tilt") == path


@pytest.mark.parametrize("parts", [[[0, 2, 4], [1, 3]], [[1], [], [0, 2, 3, 4]]])
def test_parts_are_joined_in_the_order_of_the_listing(parts):
    assert same(join(map(some, parts)), some([0, 1, 2, 3, 4]))


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "tilt.npz"
    write_top5(path, some([0, 1]))
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    else:
        np.savez(path, clips=[0], lengths=[3], classes=np.zeros((2, 5)))
    with pytest.raises(UserError, match=r"tilt\.npz"):
        read_top5(path)


HOSTILE = [
    "{'descr': '<i4', 'fortran_order': False, 'shape': (1000000000000,), }",
    "{'descr': [('a', '<i4', (9, 9))], 'fortran_order': False, 'shape': (3,), }",
    "{'descr': [('a', '|V0')], 'fortran_order': False, 'shape': (3,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
    "{'descr': '<i4', 'fortran_order': False, 'shape': (-3,), }",
    "[[[[",
]


@pytest.mark.parametrize("name", ["clips", "lengths", "classes"])
@pytest.mark.parametrize("header", HOSTILE)
def test_header_is_not_evaluated(tmp_path, name, header):
    path = tmp_path / "tilt.npz"
    write_top5(path, some([0, 1]))
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    forged = header.encode() + b"\n"
    forged = b"\x93NUMPY\x01\x00" + len(forged).to_bytes(2, "little") + forged
    members[f"{name}.npy"] = forged + bytes(12)
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    with pytest.raises(UserError, match=rf"tilt\.npz' cannot be read .*{name}"):
        read_top5(path)


def test_lengths_below_one_and_compressed_arrays_are_refused(tmp_path):
    path = tmp_path / "tilt.npz"
    top5 = some([0, 1])
    write_top5(path, Top5(top5.clips, np.array([6, -1], np.int32), top5.classes))
    with pytest.raises(UserError, match="the numbers of frames do not add up"):
        read_top5(path)
    content = io.BytesIO()
    np.savez_compressed(content, **vars(top5))
    path.write_bytes(content.getvalue())
    with pytest.raises(UserError, match="'clips' is compressed"):
        read_top5(path)
