"""requirements/peers.sh puts packages beside .venv, once, or says that they are left out."""

import shutil

import pytest


@pytest.fixture
def clone(machine):
    """A clone with an environment."""
    clone = machine.clone()
    (clone / ".venv/bin").mkdir(parents=True)
    shutil.copy(machine.bin / "python3", clone / ".venv/bin/python")
    return clone


def peers(machine, clone, **environment):
    status, output = machine.install(clone, script="peers", **environment)
    assert status == 0, output
    return output


def folder_of(clone):
    """The one that the lock has been put into, if there is one."""
    (folder,) = (clone / ".cache/peers").iterdir()
    assert (folder / "peers.txt").read_text() == (clone / "requirements/peers.txt").read_text()
    return folder


def test_packages_are_installed_once_for_a_lock(machine, clone):
    for _ in range(2):
        assert "34 MB" in peers(machine, clone)
        (line,) = machine.commands()
        assert line.startswith(f"pip install --quiet --python {clone}/.venv/bin/python --target ")
        assert line.endswith(
            "--require-hashes --only-binary :all: --no-binary grad-cam "
            "--no-build-isolation-package grad-cam --requirements requirements/peers.txt"
        )
        assert "--no-deps" in line.split()
        folder = folder_of(clone)
        assert peers(machine, clone) == "" and machine.commands() == []
        with (clone / "requirements/peers.txt").open("a") as lock:
            lock.write("# another\n")
    peers(machine, clone)
    assert folder_of(clone) == folder


def test_mirror_of_pip_serves(machine, clone):
    peers(machine, clone, PIP_INDEX_URL="https://mirror.example/simple")
    *_, call = machine.environment().split("pip install")
    assert "UV_DEFAULT_INDEX=https://mirror.example/simple" in call


def left_out(machine, clone, **environment):
    (line,) = peers(machine, clone, **environment).splitlines()[-1:]
    assert line.startswith("Left out: ")
    return line


def test_no_network_is_no_error(machine, clone):
    wheels = machine.folder / "wheels"
    wheels.mkdir()
    assert "bundle" in left_out(machine, clone, OFFLINE=str(wheels))
    assert machine.commands() == []
    line = left_out(machine, clone, FAKE_BREAK="peers")
    assert "no index has it (.cache/peers.log)" in line
    assert (clone / ".cache/peers.log").read_text() == "connection lost\n"
    # No half of it, so that the next run tries again.
    assert not list((clone / ".cache/peers").iterdir())
    assert "Left out" not in peers(machine, clone)
    folder_of(clone)
    assert peers(machine, clone, OFFLINE=str(wheels)) == ""


def test_other_files_than_those_of_the_lock_are_an_error(machine, clone):
    status, output = machine.install(clone, script="peers", FAKE_BREAK="hash")
    assert status == 1
    assert output.splitlines()[-1].startswith("error: an index has other files than requirements/")
    assert not list((clone / ".cache/peers").iterdir())


def test_uv_comes_back_into_a_cleaned_cache(machine, clone):
    machine.script("spare-uv", (machine.bin / "uv").read_text())
    machine.remove("uv")
    peers(machine, clone)
    assert "venv-module" in machine.done()
    folder_of(clone)
