"""tools/test_robustness.py on damaged data: the file is named, finished cells are kept."""

import json
import multiprocessing
import shutil

import pytest
from tiny_runs import only_error


def damage_c(part, what):
    """Damage the tree; return what the message has to name."""
    first = part / "snow/3/class_2/1.JPEG"
    if what == "corruption":
        shutil.rmtree(part / "snow")
        return "snow is missing", str(part / "snow")
    if what == "severity":
        shutil.rmtree(part / "snow/3")
        return "severity 3 of snow is missing", str(part / "snow/3")
    if what == "short cell":
        first.unlink()
        return f"{str(part / 'snow/3')!r} has 17 of 18", "class_2/1.JPEG"
    if what == "unknown class":
        for cell in part.glob("*/*"):
            (cell / "class_2").rename(cell / "zebra")
        return "1 of 6 missing: class_2", "1 not in the class table: zebra"
    first.write_bytes(first.read_bytes()[:200])
    return f"image {str(first)!r} cannot be read", "finished cells are kept"


@pytest.mark.slow
@pytest.mark.parametrize(
    "what",
    ["corruption", "severity", "short cell", "unknown class", "unreadable image"],
)
def test_damaged_images_are_named(tool, part_c, tmp_path, what):
    named = damage_c(part_c, what)
    error = only_error(*tool("imagenet-c", part_c))
    assert all(part in error for part in named), error
    if what.endswith("image"):
        # Seven cells come before the damaged one.
        assert list(json.loads((tmp_path / "out.json").read_text())["cells"])[-1] == "snow/2"


def damage_p(part, what):
    """Damage the tree; return what the message has to name."""
    first = part / "tilt/class_2/0.mp4"
    if what == "missing clip":
        first.unlink()
        return f"{str(part / 'tilt')!r} has 5 of 6", "class_2/0.mp4"
    first.write_bytes(b"<html>404</html>")
    return f"clip {str(first)!r} is no video", "replace the file", "finished cells are kept"


# What else is wrong with a clip is tried in data/test_video_clip.
@pytest.mark.parametrize("what", ["missing clip", "no video"])
def test_damaged_clips_are_named(tool, part_p, tmp_path, what):
    named = damage_p(part_p, what)
    error = only_error(*tool("imagenet-p", part_p))
    assert all(part in error for part in named), error
    if what != "missing clip":
        assert list(json.loads((tmp_path / "out.json").read_text())["cells"]) == ["shot_noise"]


def test_error_in_a_worker_is_named_and_finished_cells_are_kept(tool, part_p, tmp_path):
    named = damage_p(part_p, "no video")
    others = multiprocessing.active_children()
    error = only_error(*tool("imagenet-p", part_p, "--workers", 2))
    assert all(part in error for part in named), error
    assert list(json.loads((tmp_path / "out.json").read_text())["cells"]) == ["shot_noise"]
    assert set(multiprocessing.active_children()) <= set(others)
