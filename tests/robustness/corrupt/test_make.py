import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import is_running
from trials.file_events import FileEvents
from trials.forked import run_forked

from gcp_mm.datasets import ImageNetC, ImageNetP
from gcp_mm.errors import FileHeldError, FolderExistsError, UserError
from gcp_mm.locks import hold_folder
from gcp_mm.robustness.corrupt import make_corruptions
from gcp_mm.robustness.corrupt.cells import CorruptionCell, SequenceCell, derive_seed
from gcp_mm.robustness.corrupt.images import corrupt_image, read_source
from gcp_mm.robustness.corrupt.sequences import SEQUENCES
from gcp_mm.robustness.corrupt.video import encode_mp4
from gcp_mm.robustness.data.manifest import read_manifest

NOISE, SNOW = CorruptionCell("gaussian_noise", 2), CorruptionCell("snow", 1)
TILT, SHOT = SequenceCell("tilt"), SequenceCell("shot_noise")


def contents(root):
    """Everything below the tree but its manifest."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


def test_images_are_corrupted_and_kept_at_quality_85(photos, tmp_path):
    make_corruptions(photos, tmp_path / "c", [NOISE, SNOW], size=48, seed=3)
    found = contents(tmp_path / "c")
    assert sorted(found) == [
        f"{cell}/{name}.JPEG"
        for cell in ("gaussian_noise/2", "snow/1")
        for name in ("cat/one", "cat/two", "dog/one", "dog/two")
    ]
    # 40 x 60 is resized to 55 x 82: the proportion of 256 to 224.
    resized = Image.open(photos / "cat" / "one.JPEG").resize((82, 55), Image.Resampling.BILINEAR)
    left, top = round((82 - 48) / 2), round((55 - 48) / 2)
    clean = np.asarray(resized.crop((left, top, left + 48, top + 48)))
    expected = io.BytesIO()
    seed = derive_seed(3, "gaussian_noise/2", "cat/one")
    noisy = corrupt_image(clean, "gaussian_noise", 2, seed)
    Image.fromarray(noisy).save(expected, "JPEG", quality=85)
    written = found["gaussian_noise/2/cat/one.JPEG"]
    assert written.startswith(expected.getvalue())
    assert written.endswith(hashlib.sha256(expected.getvalue()).digest())


@pytest.fixture
def turned(photos, tmp_path) -> Path:
    """Return a copy of the photos, of which one is to be turned and one has 16 bits."""
    shutil.copytree(photos, tmp_path / "photos")
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photos" / "cat" / "one.JPEG"
    Image.open(path).save(path, exif=exif, quality=95)
    grey = np.linspace(0, 65535, 64 * 64, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(grey).save(tmp_path / "photos" / "dog" / "two.png")
    return tmp_path / "photos"


def test_photos_are_read_as_for_training(turned, tmp_path):
    make_corruptions(turned, tmp_path / "c", [NOISE], size=None)
    sizes = {name: Image.open(tmp_path / "c" / name).size for name in contents(tmp_path / "c")}
    # Stored as 60 x 40.
    assert sizes["gaussian_noise/2/cat/one.JPEG"] == (40, 60)
    grey = np.asarray(Image.open(tmp_path / "c/gaussian_noise/2/dog/two.JPEG"))
    assert grey.mean() == pytest.approx(127, abs=3)
    settings = read_manifest(tmp_path / "c")["settings"]
    assert settings["reading"] == {
        **{"sixteen_bits": 1, "with_orientation_tag": 1, "orientation": "applied"}
    }
    with pytest.raises(FolderExistsError, match="'applied'} there and .*'ignored'} here"):
        make_corruptions(turned, tmp_path / "c", [NOISE], size=None, ignore_orientation=True)
    make_corruptions(turned, tmp_path / "stored", [NOISE], size=None, ignore_orientation=True)
    assert Image.open(tmp_path / "stored/gaussian_noise/2/cat/one.JPEG").size == (60, 40)


def test_ordinary_photos_leave_the_settings_as_they_were(photos, tmp_path):
    make_corruptions(photos, tmp_path / "c", [NOISE], size=48, limit=1)
    assert "reading" not in read_manifest(tmp_path / "c")["settings"]


@pytest.mark.parametrize(("cell", "noisy"), [(SHOT, True), (TILT, False)])
def test_only_noise_is_encoded_as_grain(photos, tmp_path, cell, noisy):
    make_corruptions(photos, tmp_path / "p", [cell], size=48, seed=3, limit=1)
    image = read_source(photos / "cat" / "one.JPEG", 48)
    rng = np.random.default_rng(derive_seed(3, cell.key, "cat/one"))
    frames = list(SEQUENCES[cell.key](image, 48, rng))
    found = contents(tmp_path / "p")[f"{cell.key}/cat/one.mp4"]
    assert found == encode_mp4(frames, noisy) != encode_mp4(frames, not noisy)


@pytest.mark.slow
@pytest.mark.parametrize("cells", [[NOISE, SNOW], [TILT, SHOT]])
def test_workers_and_order_do_not_matter(photos, tmp_path, cells):
    one, two = tmp_path / "one", tmp_path / "two"
    assert make_corruptions(photos, one, cells, size=48) == (8, 0)
    assert make_corruptions(photos, two, cells[::-1], size=48, workers=2) == (8, 0)
    assert contents(one) == contents(two)
    assert len(set(contents(one).values())) == 8
    other = tmp_path / "other"
    make_corruptions(photos, other, cells[-1:], size=48, seed=1, limit=1)
    assert not contents(other).items() & contents(one).items()


def test_what_is_missing_is_made_again(photos, tmp_path):
    root = tmp_path / "c"
    make_corruptions(photos, root, [NOISE], size=48)
    expected = contents(root)
    kept = root / "gaussian_noise" / "2" / "cat" / "one.JPEG"
    (root / "gaussian_noise" / "2" / "dog" / "two.JPEG").unlink()
    before = kept.stat()
    assert make_corruptions(photos, root, [NOISE], size=48) == (1, 3)
    assert contents(root) == expected
    assert kept.stat().st_ino == before.st_ino
    assert make_corruptions(photos, root, [SNOW], size=48) == (4, 0)
    assert read_manifest(root)["cells"] == {"gaussian_noise/2": 4, "snow/1": 4}


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_change_goes_on(photos, tmp_path):
    make_corruptions(photos, tmp_path / "whole", [NOISE], size=48, limit=1)
    expected = contents(tmp_path / "whole")

    def make(root, kill_at=0):
        """Make a tree in a child, and return the number of its changes."""
        events = FileEvents(root.parent, kill_at)
        work = events.watching(lambda: make_corruptions(photos, root, [NOISE], size=48, limit=1))
        ended = run_forked(work)
        assert (ended.code == 0) == (kill_at == 0), ended.output
        return events.count

    (tmp_path / "0").mkdir()
    number = make(tmp_path / "0" / "c")
    # The lock, the manifest twice, and two files with their folders.
    assert number > 12
    for kill_at in range(1, number + 1):
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        make(folder / "c", kill_at)
        make_corruptions(photos, folder / "c", [NOISE], size=48, limit=1)
        assert contents(folder / "c") == expected, kill_at
        assert read_manifest(folder / "c")["cells"] == {"gaussian_noise/2": 2}


def test_one_process_at_a_time_is_at_work(photos, tmp_path):
    root = tmp_path / "c"
    with hold_folder(root, "is being written", "wait"), pytest.raises(FileHeldError) as caught:
        make_corruptions(photos, root, [NOISE], size=48)
    assert f"{str(root)!r} is being written by process {os.getpid()} on" in str(caught.value)
    assert str(caught.value).endswith("): wait for it, or choose another folder")
    assert make_corruptions(photos, root, [NOISE], size=48) == (4, 0)


def test_sizes_are_kept_on_request(photos, tmp_path):
    root = tmp_path / "c"
    make_corruptions(photos, root, [NOISE], size=None)
    sizes = [Image.open(path).size for path in sorted(root.rglob("*.JPEG"))]
    assert sizes == [(60, 40), (48, 64), (50, 50), (80, 90)]
    assert read_manifest(root)["settings"]["size"] is None


def test_progress_is_told(photos, tmp_path):
    calls = []
    make_corruptions(
        photos, tmp_path / "c", [NOISE], size=48, on_image=lambda *call: calls.append(call)
    )
    stages = ("reading", "opening", "checking", "writing")
    assert calls == [(stage, done, 4) for stage in stages for done in range(5)]


def test_a_broken_image_is_named_before_anything_is_written(photos, tmp_path):
    source = tmp_path / "photos"
    shutil.copytree(photos, source)
    (source / "dog" / "two.png").write_bytes(b"broken")
    for workers in (1, 2):
        with pytest.raises(UserError, match=r"dog/two\.png' cannot be read"):
            make_corruptions(source, tmp_path / "c", [NOISE], size=48, workers=workers)
    assert not (tmp_path / "c").exists()


def test_a_tree_among_its_images_is_refused(photos, tmp_path):
    """It would be a class of them, and they another source."""
    (tmp_path / "link").symlink_to(photos)
    for root in (photos, photos / "c", tmp_path / "link/cat/c"):
        with pytest.raises(UserError, match="lies in the folder of the images, .*: choose another"):
            make_corruptions(photos, root, [NOISE], size=48)
    assert not (photos / "c").exists() and not (photos / "cat/c").exists()


def test_another_source_is_refused(photos, tmp_path):
    root = tmp_path / "c"
    make_corruptions(photos, root, [NOISE], size=48)
    with pytest.raises(FolderExistsError, match="limit is None there and 1 here.*num_images is 4"):
        make_corruptions(photos, root, [NOISE], size=48, limit=1)


@pytest.mark.parametrize("cell", [NOISE, SHOT])
def test_every_flipped_bit_is_noticed(photos, tmp_path, cell):
    """Most leave a picture that decoders take for right."""
    root = tmp_path / "tree"
    make_corruptions(photos, root, [cell], size=48)
    if cell is NOISE:
        tree = ImageNetC(root, ["gaussian_noise"], [2], input_size=48)
    else:
        tree = ImageNetP(root, ["shot_noise"], input_size=48)
    path, intact = tree.path(cell.key, 0), tree.read(cell.key, 0)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = {place: 1 << rng.integers(8) for place in rng.choice(len(content), 60)}
    # The digest itself, and what it is recognised by.
    for place, bit in [*damaged.items(), (len(content) - 1, 1), (len(content) - 40, 1)]:
        path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
        with pytest.raises(UserError) as caught:
            tree.read(cell.key, 0)
        assert str(path) in str(caught.value)
        assert "its bytes are not those that were written" in str(caught.value)
    path.write_bytes(content)
    assert np.array_equal(tree.read(cell.key, 0), intact)


def test_tree_of_an_earlier_version_is_continued_and_read_without_digests(photos, tmp_path):
    root = tmp_path / "c"
    make_corruptions(photos, root, [NOISE], size=48)
    sealed = contents(root)
    manifest = read_manifest(root)
    # As it was before images had a digest.
    del manifest["seal"]
    (root / "manifest.json").write_text(json.dumps(manifest))
    (root / "gaussian_noise/2/cat/one.JPEG").unlink()
    assert make_corruptions(photos, root, [NOISE], size=48) == (1, 3)
    found = contents(root)
    name = "gaussian_noise/2/cat/one.JPEG"
    assert sealed[name].startswith(found[name]) and len(sealed[name]) == len(found[name]) + 54
    assert {**found, name: sealed[name]} == sealed
    tree = ImageNetC(root, ["gaussian_noise"], [2], input_size=48)
    assert not tree.sealed and len({tree.read("gaussian_noise/2", i).tobytes() for i in range(4)})


def test_clips_that_were_encoded_in_another_way_are_not_continued(photos, tmp_path):
    root = tmp_path / "p"
    make_corruptions(photos, root, [TILT], size=48, limit=1)
    manifest = read_manifest(root)
    # As it was before the setting existed.
    del manifest["settings"]["libx264_params"]
    (root / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FolderExistsError, match="libx264_params is None there and 'cpu-indep"):
        make_corruptions(photos, root, [TILT], size=48, limit=1)


def test_a_file_that_cannot_be_written_is_named(photos, tmp_path, monkeypatch):
    root = tmp_path / "c"
    root.mkdir()
    make_corruptions(photos, root, [SNOW], size=48)
    (root / "gaussian_noise").touch()
    with pytest.raises(UserError, match=r"gaussian_noise/2/cat/one\.JPEG' cannot be written"):
        make_corruptions(photos, root, [NOISE], size=48)


@pytest.mark.parametrize(
    ("options", "message"), [({"size": 31}, "--size 31"), ({"workers": 0}, "--workers 0")]
)
def test_numbers_that_are_too_small(photos, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        make_corruptions(photos, tmp_path / "c", [NOISE], **options)


KILLED = """
import os, sys, time
from pathlib import Path
from gcp_mm.robustness.corrupt import make

def wait(number):
    path = Path(sys.argv[1]) / str(number)
    path.with_suffix('.part').write_text(str(os.getpid()))
    path.with_suffix('.part').rename(path)
    time.sleep(120)

(Path(sys.argv[1]) / 'parent').write_text(str(os.getpid()))
for _ in make._parallel(wait, [0, 1], 2):
    pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel request is Linux's")
def test_workers_end_with_a_killed_process(tmp_path, warm_env):
    (tmp_path / "pids").mkdir()
    (tmp_path / "killed.py").write_text(KILLED)
    command = [warm_env["PYTHON"], str(tmp_path / "killed.py"), str(tmp_path / "pids")]
    process = subprocess.Popen(command, env=warm_env)
    files = [tmp_path / "pids" / name for name in "01"]
    end = time.monotonic() + 120
    while not all(path.exists() for path in files) and time.monotonic() < end:
        time.sleep(0.1)
    # Not the one that was started here, whose end would be that of all of them.
    os.kill(int((tmp_path / "pids/parent").read_text()), signal.SIGKILL)
    process.wait()
    workers = [int(path.read_text()) for path in files]
    end = time.monotonic() + 5
    while any(map(is_running, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    alive = [pid for pid in workers if is_running(pid)]
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    assert len(set(workers)) == 2 and not alive
