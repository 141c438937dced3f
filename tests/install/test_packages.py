"""Where the packages come from: the indexes and mirrors of pip and of uv."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


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


def test_no_index_of_pip_serves_uv_too(machine):
    options = {"PIP_NO_INDEX": "yes", "PIP_FIND_LINKS": "/wheels"}
    machine.install(machine.clone(), **options)
    (sync,) = [line for line in machine.commands() if line.startswith("pip sync")]
    assert "--no-index" in sync
    machine.install(machine.clone("second"), **{**options, "PIP_NO_INDEX": "0"})
    assert "--no-index" not in " ".join(machine.commands())
    machine.install(machine.clone("third"), UV_DEFAULT_INDEX="https://uv.example", **options)
    assert "--no-index" not in " ".join(machine.commands())


def settings(folder, script="pip_settings", **environment):
    result = subprocess.run(
        [sys.executable, ROOT / f"requirements/{script}.py"],
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


UV_TOML = """
find-links = ["/wheels", "/more"]
[[index]]
url = "https://extra.example"
[[index]]
url = "https://only-when-named.example"
explicit = true
[[index]]
url = "https://mirror.example"
default = true
"""


def test_uv_toml_serves_pip_too(tmp_path):
    pytest.importorskip("tomllib")  # since Python 3.11
    (tmp_path / ".config/uv").mkdir(parents=True)
    (tmp_path / ".config/uv/uv.toml").write_text(UV_TOML)
    lines, _ = settings(tmp_path, "uv_settings")
    assert set(lines) == {
        "PIP_INDEX_URL=https://mirror.example",
        "PIP_EXTRA_INDEX_URL=https://extra.example",
        "PIP_FIND_LINKS=/wheels /more",
    }
    # Variables come first: uv's before its file, and pip's own before all.
    lines, _ = settings(
        tmp_path,
        "uv_settings",
        UV_INDEX="one=https://one.example https://user:a=b@two.example",
        UV_DEFAULT_INDEX="https://uv.example",
        PIP_FIND_LINKS="/mine",
    )
    assert set(lines) == {
        "PIP_INDEX_URL=https://uv.example",
        "PIP_EXTRA_INDEX_URL=https://one.example https://user:a=b@two.example",
    }


def test_what_a_bundle_downloads_comes_from_the_mirror_of_uv(machine):
    pytest.importorskip("tomllib")
    (machine.folder / ".config/uv").mkdir(parents=True)
    (machine.folder / ".config/uv/uv.toml").write_text(UV_TOML)
    status, output = machine.bundle(
        machine.clone(), BUNDLE=str(machine.folder / "bundle"), FAKE_FILES="uv-0.13.9-py3.whl"
    )
    assert status == 0, output
    assert "PIP_INDEX_URL=https://mirror.example" in machine.environment()
    assert "--no-config" not in machine.environment()
