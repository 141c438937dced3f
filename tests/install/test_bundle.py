"""Bundles: filled with a network, installed from without one."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

FILES = "torch-2.13.0-cp311.whl numpy-2.4.6-cp311.whl uv-0.13.9-py3.whl mmcv-2.1.0.tar.gz"


def files_of(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(folder).iterdir()
    }


def test_bundles_of_one_lock_are_the_same(machine):
    clone = machine.clone()
    bundles = [machine.folder / name for name in ("one", "two")]
    for bundle in bundles:
        status, output = machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=FILES)
        assert status == 0, output
    assert files_of(bundles[0]) == files_of(bundles[1])
    assert set(files_of(bundles[0])) == {*FILES.split()[:3], ".inputs", "SHA256SUMS"}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=bundles[0], check=True)


def test_interrupted_bundle_continues(machine):
    clone, bundle = machine.clone(), machine.folder / "bundle"
    options = {"BUNDLE": str(bundle), "FAKE_FILES": FILES}
    status, _ = machine.bundle(clone, FAKE_BREAK="numpy-2.4.6-cp311.whl", **options)
    assert status != 0
    status, output = machine.install(clone, OFFLINE=str(bundle))
    assert (status, machine.done()) == (1, [])
    assert "no SHA256SUMS" in output
    assert machine.bundle(clone, **options)[0] == 0
    assert [line for line in machine.done() if line.startswith("downloaded")] == [
        "downloaded numpy-2.4.6-cp311.whl",
        "downloaded uv-0.13.9-py3.whl",
    ]


def test_bundle_drops_what_an_older_lock_needed(machine):
    clone, bundle = machine.clone(), machine.folder / "bundle"
    machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=FILES)
    newer = FILES.replace("numpy-2.4.6", "numpy-2.5.0")
    machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=newer)
    assert not (bundle / "numpy-2.4.6-cp311.whl").exists()
    assert "numpy-2.4.6" not in (bundle / "SHA256SUMS").read_text()


def test_folder_of_other_things_is_refused(machine):
    bundle = machine.folder / "bundle"
    bundle.mkdir()
    (bundle / "mine.whl").touch()
    status, output = machine.bundle(machine.clone(), BUNDLE=str(bundle), FAKE_FILES=FILES)
    assert status == 1
    assert "is not a bundle" in output
    assert set(files_of(bundle)) == {"mine.whl"}


@pytest.mark.parametrize("breaks", ["", "uv-0.13.9-py3.whl"])
def test_files_of_others_in_a_bundle_are_left_alone(machine, breaks):
    clone, bundle = machine.clone(), machine.folder / "bundle"
    machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=FILES, FAKE_BREAK=breaks)
    for name in ("mine.whl", "mine.tar.gz", "my notes.whl"):
        (bundle / name).write_text("mine")
    newer = FILES.replace("numpy-2.4.6", "numpy-2.5.0")
    status, output = machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=newer)
    assert status == 0, output
    names = {"mine.whl", "mine.tar.gz", "my notes.whl", ".inputs", "SHA256SUMS"}
    assert set(files_of(bundle)) == {*newer.split()[:3], *names}


def test_bundle_whose_list_is_in_its_sums_only(machine):
    clone, bundle = machine.clone(), machine.folder / "bundle"
    machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=FILES)
    inputs = bundle / ".inputs"
    inputs.write_text(inputs.read_text().splitlines()[0] + "\n")
    (bundle / "mine.whl").touch()
    newer = FILES.replace("numpy-2.4.6", "numpy-2.5.0")
    machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=newer)
    assert not (bundle / "numpy-2.4.6-cp311.whl").exists()
    assert (bundle / "mine.whl").exists()


def test_offline_touches_no_index(machine):
    clone, bundle = machine.clone(), machine.folder / "bundle"
    machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=FILES, MMCV="build")
    Path(f"{machine.log}.environment").unlink()
    status, output = machine.install(
        clone, OFFLINE=str(bundle), MMCV="build", UV_DEFAULT_INDEX="https://x.example"
    )
    assert status == 0, output
    (sync,) = [line for line in machine.commands() if line.startswith("pip sync")]
    assert f"--offline --no-index --find-links {bundle} --require-hashes" in sync
    assert "x.example" not in machine.environment().partition("pip sync")[2].partition("pip ")[0]
    assert "wheel without index" in machine.commands()


@pytest.mark.parametrize("pinned", [True, False])
def test_offline_uv_comes_from_the_bundle_if_it_is_the_pinned_one(machine, pinned):
    clone, bundle = machine.clone(), machine.folder / "bundle"
    wheel = machine.folder / "uv.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("uv-0.13.9.data/scripts/uv", (machine.bin / "uv").read_text())
    if pinned:
        with (clone / "requirements/uv.txt").open("a") as pins:
            pins.write(f"    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=FILES)
    wheel.rename(bundle / "uv-0.13.9-py3.whl")
    machine.remove("uv")
    facts = "3.11.7 CPython 64 gil glibc-2.36 - -"
    status, output = machine.install(clone, OFFLINE=str(bundle), FAKE_FACTS=facts)
    if pinned:
        assert status == 0, output
        assert machine.done() == ["venv", "sync", "project"]
    else:
        assert (status, machine.done()) == (1, [])
        assert "is not the uv of requirements/uv.txt" in output
        assert not (clone / ".cache/uv").exists()


def test_incomplete_bundle_is_one_message(machine):
    clone, bundle = machine.clone(), machine.folder / "bundle"
    machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=FILES)
    for name in FILES.split()[:2]:
        (bundle / name).unlink()
    status, output = machine.install(clone, OFFLINE=str(bundle), MMCV="build")
    assert (status, machine.done()) == (1, [])
    assert output.count("error:") == 1
    for text in (*FILES.split()[:2], "the source of mmcv", "make bundle"):
        assert text in output
    assert "uv-0.13.9" not in output


@pytest.mark.parametrize("change", ["lock", "python"])
def test_bundle_for_something_else_is_refused(machine, change):
    clone, bundle = machine.clone(), machine.folder / "bundle"
    machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=FILES)
    facts = {}
    if change == "lock":
        with (clone / "requirements/lock.txt").open("a") as lock:
            lock.write("# changed\n")
    else:
        facts = {"FAKE_FACTS": "3.12.1 CPython 64 gil glibc-2.36 headers venv"}
    status, output = machine.install(clone, OFFLINE=str(bundle), **facts)
    assert status == 1
    assert "is for\n      Python 3.11" in output
    # Another Python is no cure for another lock.
    assert ("PYTHON=python3.11" in output) is (change == "python")


def test_offline_without_the_folder(machine):
    status, output = machine.install(machine.clone(), OFFLINE="nowhere")
    assert status == 1
    assert "OFFLINE=nowhere: no such folder" in output


def test_offline_goes_with_no_python_that_uv_would_download(machine):
    machine.folder.joinpath("bundle").mkdir()
    status, output = machine.install(machine.clone(), OFFLINE="../bundle", PYTHON="managed")
    assert (status, machine.done()) == (1, [])
    assert "OFFLINE and PYTHON=managed do not go together" in output
    assert "this is Python ," not in output


def test_offline_after_another_torch_names_the_cure(machine):
    clone, bundle = machine.clone(), machine.folder / "bundle"
    machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=FILES)
    machine.install(clone, TORCH="cpu")
    status, output = machine.install(clone, OFFLINE=str(bundle))
    assert status == 1
    assert "TORCH=default" in output
    assert machine.install(clone, OFFLINE=str(bundle), TORCH="default")[0] == 0
