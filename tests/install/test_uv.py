"""Where uv comes from, and the Python that it can bring."""

import shutil

OLD = "3.9.2 CPython 64 gil glibc-2.31 headers venv"


def test_uv_is_put_into_the_cache_where_path_has_none(machine):
    machine.script("spare-uv", (machine.bin / "uv").read_text())
    machine.remove("uv")
    clone = machine.clone()
    facts = "3.11.7 CPython 64 gil glibc-2.36 - -"
    status, output = machine.install(clone, FAKE_FACTS=facts)
    assert (status, machine.done()) == (1, [])
    assert "apt-get install python3-venv" in output
    status, output = machine.install(clone)
    assert status == 0, output
    assert machine.done()[:2] == ["venv-module", machine.done()[1]]
    assert "--require-hashes -r requirements/uv.txt" in machine.done()[1]


def test_uv_too_old_for_the_options_is_not_used(machine):
    machine.script("spare-uv", (machine.bin / "uv").read_text().replace("9.9.9", "0.13.9"))
    status, output = machine.install(machine.clone(), FAKE_UV_VERSION="0.4.1")
    assert "venv-module" in machine.done(), output


def test_managed_python_is_uvs_own(machine):
    clone = machine.clone()
    status, output = machine.install(clone, PYTHON="managed", FAKE_FACTS=OLD)
    assert status == 0, output
    (venv,) = [line for line in machine.commands() if line.startswith("venv")]
    assert "--managed-python --python 3.12" in venv
    assert "UV_PYTHON_DOWNLOADS=automatic" in machine.environment()
    for python in ("managed", ""):
        assert machine.install(clone, PYTHON=python)[1].startswith("Installed already")


def test_managed_python_needs_uv_or_some_python(machine):
    machine.remove("uv")
    machine.remove("python3")
    status, output = machine.install(machine.clone(), PYTHON="managed")
    assert status == 1
    assert "docs.astral.sh/uv" in output
    assert "apt-get install python3 python3-venv" in output


def test_uv_comes_back_into_a_cleaned_cache(machine):
    machine.script("spare-uv", (machine.bin / "uv").read_text())
    machine.remove("uv")
    clone = machine.clone()
    machine.install(clone)
    shutil.rmtree(clone / ".cache")  # make clean
    (clone / "configs/new.py").touch()
    status, output = machine.install(clone)
    assert status == 0, output
    assert machine.done()[0] == "venv-module"
    assert machine.done()[-1] == "project"


def test_managed_python_comes_from_a_uv_of_any_python_with_venv(machine):
    machine.script("spare-uv", (machine.bin / "uv").read_text())
    machine.remove("uv")
    other = machine.folder / "my tools"
    other.mkdir()
    (other / "python3").write_bytes((machine.bin / "python3").read_bytes())
    (other / "python3").chmod(0o755)
    machine.script("python3", "#!/usr/bin/env bash\nexit 127\n")
    status, output = machine.install(
        machine.clone(),
        PYTHON="managed",
        PATH=f"{machine.bin}:{other}",
        FAKE_FACTS=OLD,
        FAKE_PYTHON=str(other / "python3"),
    )
    assert status == 0, output
