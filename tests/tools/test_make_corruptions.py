import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gcp_mm.cli.corrupt import _found_in, parse

pytest.importorskip("imagecorruptions")


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for index in range(3):
            pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def test_trees_are_made_and_continued(call_tool, photos, tmp_path):
    tool = ("tools/make_corruptions.py", photos, tmp_path / "c", "--dataset", "imagenet-c")
    options = ("--size", 32, "--limit", 1, "--workers", 1)
    code, out, err = call_tool(*tool, *options, "--corruptions", "fog", "--severities", 1, 5)
    assert code == 0 and "2 cells of 2 images, 4 files written and 0 kept" in out
    assert "2/2" in err and "ETA" in err
    code, out, _ = call_tool(*tool, *options, "--corruptions", "weather", "--severities", 5)
    assert code == 0 and "4 cells of 2 images, 6 files written and 2 kept" in out
    found = f"CONFIG CHECKPOINT --dataset imagenet-c --data-root {tmp_path / 'c'}"
    found += " --input-size 32 --corruptions weather --severities 5"
    assert out.endswith(f"\nnext: python tools/test_robustness.py {found}\n")
    manifest = json.loads((tmp_path / "c" / "manifest.json").read_text())
    assert list(manifest["cells"]) == ["fog/1", "fog/5", "snow/5", "frost/5", "brightness/5"]
    assert Image.open(tmp_path / "c" / "fog" / "5" / "dog" / "0.JPEG").size == (32, 32)


def test_sequences_are_made(call_tool, photos, tmp_path):
    tool = ("tools/make_corruptions.py", photos, tmp_path / "p", "--dataset", "imagenet-p")
    code, out, _ = call_tool(
        *tool, "--keep-size", "--workers", 1, "--limit", 1, "--perturbations", "tilt"
    )
    assert code == 0 and "1 cells of 2 images" in out
    assert out.endswith(f" --data-root {tmp_path / 'p'} --input-size 224 --perturbations tilt\n")
    assert sorted(path.name for path in (tmp_path / "p").rglob("*.mp4")) == ["0.mp4", "0.mp4"]


def test_all_images_at_the_released_size_come_with_the_clean_ones():
    args = parse(["mine", "my c", "--dataset", "imagenet-c"], None)
    data = ["--dataset", "imagenet-c", "--data-root", Path("my c")]
    assert _found_in(args) == [*data, "--clean-root", Path("mine")]
    args = parse(["mine", "my p", "--dataset", "imagenet-p"], None)
    assert _found_in(args) == ["--dataset", "imagenet-p", "--data-root", Path("my p")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dataset", "imagenet-c", "--corruptions", "rain"), "rain"),
        (("--dataset", "imagenet-p", "--severities", 1), "--severities does not belong"),
        (("--dataset", "imagenet-c", "--limit", 0), "--limit 0"),
    ],
)
def test_mistakes_end_with_a_message(call_tool, photos, tmp_path, arguments, message):
    code, _, err = call_tool("tools/make_corruptions.py", photos, tmp_path / "t", *arguments)
    assert code == 2 and message in err and "Traceback" not in err
    assert not (tmp_path / "t").exists()


def test_killed_and_started_again(call_tool, warm_env, repo, photos, tmp_path):
    # Blurs are slow, and glass_blur is compiled first.
    chosen = ["--corruptions", "noise", "contrast", "pixelate", "jpeg_compression"]
    arguments = ["--dataset", "imagenet-c", "--size", 128, "--workers", 1, *chosen]

    def made(name):
        files = (tmp_path / name).rglob("*.JPEG")
        return {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files}

    command = ["tools/make_corruptions.py", photos, tmp_path / "killed", *arguments]
    process = subprocess.Popen(
        [warm_env["PYTHON"], *map(str, command)], cwd=repo, env=warm_env, stdout=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while len(made("killed")) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()  # which waits for all that could write into the pipe
    assert process.returncode == -signal.SIGKILL
    survived = made("killed")
    assert 20 <= len(survived) < 6 * 30
    code, out, _ = call_tool("tools/make_corruptions.py", photos, tmp_path / "killed", *arguments)
    assert code == 0 and f"{len(survived)} kept" in out
    call_tool("tools/make_corruptions.py", photos, tmp_path / "whole", *arguments)
    whole = made("whole")
    assert len(whole) == 6 * 30 and made("killed") == whole
    assert all(whole[name] == content for name, content in survived.items())
