"""What the installer says about what a machine lacks: all of it, once, before anything is done."""

import re
import time

import pytest

from install.conftest import TOOLS

OLD = "3.9.2 CPython 64 gil glibc-2.31 headers venv"
RELEASES = {
    "bookworm": ("Debian GNU/Linux 12 (bookworm)", "ID=debian"),
    "trixie": ("Debian GNU/Linux 13 (trixie)", "ID=debian"),
    "jammy": ("Ubuntu 22.04.5 LTS", "ID=ubuntu\nID_LIKE=debian"),
    "noble": ("Ubuntu 24.04.3 LTS", "ID=ubuntu\nID_LIKE=debian"),
    "resolute": ("Ubuntu 26.04 LTS", "ID=ubuntu\nID_LIKE=debian"),
}


@pytest.mark.parametrize("codename", RELEASES)
def test_bare_machine_gets_one_message_with_one_command(machine, codename):
    machine.runs_on(codename, *RELEASES[codename])
    for name in ("python3", "uv", "c++", "make"):
        machine.remove(name)
    clone = machine.clone()
    for arguments in ([], ["--check-only"]):
        started = time.monotonic()
        status, output = machine.install(clone, *arguments, MMCV="build")
        assert time.monotonic() - started < 10
        assert (status, machine.done()) == (1, [])
        assert output.count("error:") == 1
        assert f"On {RELEASES[codename][0]}:" in output
        (command,) = re.findall(r"apt-get install (.*)", output)
        # Every release has these; none but one has python3.11.
        assert set(command.split()) == {"python3", "python3-venv", "g++", "make"}
        assert "make install PYTHON=managed" in output


def test_headers_and_compiler_are_asked_for_together(machine):
    machine.remove("c++")
    status, output = machine.install(
        machine.clone(), MMCV="build", FAKE_FACTS="3.11.7 CPython 64 gil glibc-2.36 - venv"
    )
    assert status == 1
    assert "the headers (Python.h)" in output
    assert re.findall(r"apt-get install (.*)", output) == ["python3-dev g++"]


def test_without_mmcv_build_neither_headers_nor_compiler_are_asked_for(machine):
    machine.remove("c++")
    facts = "3.14.0 CPython 64 gil glibc-2.36 - -"
    assert machine.install(machine.clone(), FAKE_FACTS=facts)[0] == 0


@pytest.mark.parametrize(
    "facts, reason",
    [
        (OLD, "is 3.9.2, and 3.10 to 3.14 is needed"),
        ("3.15.0 CPython 64 gil glibc-2.36 headers venv", "is 3.15.0"),
        ("3.11.7 PyPy 64 gil glibc-2.36 headers venv", "is PyPy"),
        ("3.11.7 CPython 32 gil glibc-2.36 headers venv", "is a 32-bit Python"),
        ("3.14.0 CPython 64 free-threaded glibc-2.36 headers venv", "is a free-threaded 3.14.0"),
        ("3.11.7 CPython 64 gil glibc-2.17 headers venv", "glibc 2.17"),
        ("3.11.7 CPython 64 gil other headers venv", "needs glibc 2.28|need glibc 2.28"),
    ],
)
def test_unsuitable_pythons_are_listed_with_the_reason(machine, facts, reason):
    status, output = machine.install(machine.clone(), FAKE_FACTS=facts)
    assert status == 1
    assert re.search(rf"python3: .*({reason})", output), output


@pytest.mark.parametrize("minor", range(10, 15))
def test_supported_pythons(machine, minor):
    facts = f"3.{minor}.1 CPython 64 gil glibc-2.28 - -"
    status, output = machine.install(machine.clone(), "--check-only", FAKE_FACTS=facts)
    assert status == 0, output
    assert f"Python 3.{minor}.1" in output


def test_a_good_python_behind_a_broken_one_is_found(machine):
    (machine.bin / "python3.12").write_bytes((machine.bin / "python3").read_bytes())
    (machine.bin / "python3.12").chmod(0o755)
    machine.script("python3", "#!/usr/bin/env bash\nexit 127\n")
    status, output = machine.install(machine.clone(), "--check-only")
    assert status == 0, output
    assert f"({machine.bin}/python3.12)" in output


def test_release_with_an_old_python_is_not_told_to_install_it(machine):
    machine.runs_on("bullseye", "Debian GNU/Linux 11 (bullseye)")
    status, output = machine.install(machine.clone(), FAKE_FACTS=OLD)
    assert status == 1
    assert "apt-get" not in output
    assert "has Python 3.9 only" in output
    assert "PYTHON=managed" in output


@pytest.mark.parametrize("codename, old", [("bullseye", OLD), ("focal", OLD.replace("3.9", "3.8"))])
def test_release_with_an_old_python_and_no_uv(machine, codename, old):
    machine.runs_on(codename, "an old release")
    machine.remove("uv")
    clone = machine.clone()
    output = machine.install(clone, FAKE_FACTS=old)[1]
    assert "apt-get" not in output
    assert "PYTHON=managed" in output
    # For uv any Python will do, with the module of its release.
    output = machine.install(clone, PYTHON="managed", FAKE_FACTS=old.replace(" venv", " -"))[1]
    assert re.findall(r"apt-get install (.*)", output) == ["python3-venv"]
    assert "PYTHON=/usr/bin/python3" not in output


@pytest.mark.parametrize("libc", ["glibc-2.42.9000", "glibc-2.28", "glibc-3.0"])
def test_c_libraries(machine, libc):
    facts = f"3.11.7 CPython 64 gil {libc} headers venv"
    status, output = machine.install(machine.clone(), "--check-only", FAKE_FACTS=facts)
    assert status == 0, output
    assert "error" not in output


def test_other_systems_get_no_command_of_debian(machine):
    machine.runs_on("", "Fedora Linux 43", more="ID=fedora")
    machine.remove("c++")
    status, output = machine.install(machine.clone(), MMCV="build")
    assert status == 1
    assert "C++17 compiler" in output
    assert "apt-get" not in output


def test_what_is_made_from_ubuntu_counts_as_ubuntu(machine):
    more = "ID=linuxmint\nID_LIKE='ubuntu debian'\nUBUNTU_CODENAME=noble"
    machine.runs_on("xia", "Linux Mint 22.1", more=more)
    machine.remove("c++")
    output = machine.install(machine.clone(), MMCV="build")[1]
    assert "On Linux Mint 22.1:" in output
    assert "apt-get install g++" in output


def test_broken_compiler(machine):
    machine.script("c++", "#!/usr/bin/env bash\nexit 1\n")
    status, output = machine.install(machine.clone(), "--check-only", MMCV="build")
    assert status == 1
    assert "c++ is there and cannot compile" in output


def test_named_python_is_the_only_candidate(machine):
    status, output = machine.install(machine.clone(), PYTHON="python3.99")
    assert status == 1
    assert "python3.99: not found" in output
    assert "python3.12:" not in output


def test_missing_commands_are_named(machine):
    machine.remove("awk")
    machine.remove("find")
    status, output = machine.install(machine.clone())
    assert status == 1
    (command,) = re.findall(r"apt-get install (.*)", output)
    assert set(command.split()) == {"mawk", "findutils"}


@pytest.mark.parametrize("options", [{}, {"MMCV": "build"}, {"OFFLINE": "."}])
def test_without_any_command_only_that_is_said(machine, options):
    (machine.folder / "nvidiactl").touch()
    clone = machine.clone()
    machine.install(clone)
    for tool in set(TOOLS) - {"bash", "env"}:
        machine.remove(tool)
    for arguments in ([], ["--check-only"]):
        status, output = machine.install(clone, *arguments, **options)
        assert (status, output.count("error: this machine lacks\n")) == (1, 1)
        # Of the installer's own scripts; the stand-ins are scripts too.
        assert not re.search(r"requirements/.*command not found", output), output


def test_check_only_changes_nothing(machine):
    clone = machine.clone()
    before = sorted(clone.iterdir())
    status, output = machine.install(clone, "--check-only")
    assert status == 0, output
    assert "missing or out of date" in output
    assert sorted(clone.iterdir()) == before
