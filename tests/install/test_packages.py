"""Where the packages come from: mirrors and bundles."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = "torch-2.13.0-cp311.whl numpy-2.4.6-cp311.whl uv-0.13.9-py3.whl mmcv-2.1.0.tar.gz"


def pip_conf(machine, text):
    path = machine.folder / "pip.conf"
    path.write_text(text)
    return str(path)


def test_pip_conf_serves_uv_too(machine):
    certificates = machine.folder / "ca.pem"
    certificates.touch()
    conf = pip_conf(
        machine,
        "[global]\nindex-url = https://mirror.example/simple\nextra-index-url =\n"
        f"    https://one.example\n    https://two.example\ncert = {certificates}\n"
        "[install]\nfind-links = /wheels /more\n",
    )
    status, output = machine.install(machine.clone(), PIP_CONFIG_FILE=conf)
    assert status == 0, output
    sync = machine.environment().partition("pip sync")[2].splitlines()
    for line in (
        "UV_DEFAULT_INDEX=https://mirror.example/simple",
        "UV_INDEX=https://one.example https://two.example",
        "UV_FIND_LINKS=/wheels,/more",
        f"SSL_CERT_FILE={certificates}",
        # Mirrors are equals: the hashes of the lock decide.
        "UV_INDEX_STRATEGY=unsafe-best-match",
    ):
        assert line in sync
    assert "as pip: UV_DEFAULT_INDEX" in output


def test_what_uv_was_told_wins(machine):
    conf = pip_conf(machine, "[global]\nindex-url = https://pip.example\n")
    machine.install(
        machine.clone(),
        PIP_CONFIG_FILE=conf,
        PIP_EXTRA_INDEX_URL="https://extra.example",
        UV_INDEX_URL="https://uv.example",
    )
    assert "UV_INDEX_URL=https://uv.example" in machine.environment()
    assert "pip.example" not in machine.environment()
    assert "UV_INDEX=https://extra.example" in machine.environment()


def settings(folder, **environment):
    result = subprocess.run(
        [sys.executable, ROOT / "requirements/pip_settings.py"],
        env={"HOME": str(folder), "XDG_CONFIG_DIRS": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.splitlines(), result.stderr


def test_variables_of_pip_win_over_its_files(tmp_path):
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text("[global]\nindex_url = https://file.example\n")
    assert "UV_DEFAULT_INDEX=https://file.example" in settings(tmp_path)[0]
    lines, _ = settings(tmp_path, PIP_INDEX_URL="https://variable.example")
    assert "UV_DEFAULT_INDEX=https://variable.example" in lines


def test_uv_toml_keeps_its_indexes(tmp_path):
    (tmp_path / "uv.toml").write_text('[[index]]\nurl = "https://uv.example"\n')
    options = {"PIP_INDEX_URL": "https://a.example", "PIP_TRUSTED_HOST": "a.example"}
    lines, _ = settings(tmp_path, UV_CONFIG_FILE=str(tmp_path / "uv.toml"), **options)
    assert "UV_INSECURE_HOST=a.example" in lines
    assert not [line for line in lines if "INDEX=" in line]


def test_broken_pip_conf_is_named_and_passed_over(tmp_path):
    (tmp_path / "pip.conf").write_text("index-url without a section\n")
    _, complaint = settings(tmp_path, PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))
    assert f"{tmp_path}/pip.conf is not read" in complaint


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


def test_bundle_leaves_other_files_in_a_folder_alone(machine):
    bundle = machine.folder / "bundle"
    bundle.mkdir()
    (bundle / "mine.whl").touch()
    machine.bundle(machine.clone(), BUNDLE=str(bundle), FAKE_FILES=FILES)
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


def test_offline_uv_comes_from_the_bundle(machine):
    clone, bundle = machine.clone(), machine.folder / "bundle"
    machine.bundle(clone, BUNDLE=str(bundle), FAKE_FILES=FILES)
    with zipfile.ZipFile(bundle / "uv-0.13.9-py3.whl", "w") as archive:
        archive.writestr("uv-0.13.9.data/scripts/uv", (machine.bin / "uv").read_text())
    machine.remove("uv")
    facts = "3.11.7 CPython 64 gil glibc-2.36 - -"
    status, output = machine.install(clone, OFFLINE=str(bundle), FAKE_FACTS=facts)
    assert status == 0, output
    assert machine.done() == ["venv", "sync", "project"]


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


def test_offline_without_the_folder(machine):
    status, output = machine.install(machine.clone(), OFFLINE="nowhere")
    assert status == 1
    assert "OFFLINE=nowhere: no such folder" in output
