"""What was removed or damaged after the installation is put back."""

import base64
import hashlib
import shutil
import subprocess
import sys

import pytest

from install.conftest import Machine


def add_package(site, name, text="import this\n"):
    """Put a package with a RECORD into a folder, as an installer does."""
    module, info = site / f"{name}.py", site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    module.write_text(text)
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    rows = [
        f"{name}.py,sha256={digest},{len(text)}",
        f"__pycache__/{name}.pyc,,",
        f"{info.name}/RECORD,,",
    ]
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    return module, info


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return a machine, a copy of its folder after an installation, and what was installed."""
    folder = tmp_path_factory.mktemp("machine")
    machine = Machine(folder)
    clone = machine.clone()
    assert machine.install(clone)[0] == 0
    site = clone / ".venv/lib/python3/site-packages"
    packages = {name: add_package(site, name) for name in ("torch", "gcp_mm")}
    for name in ("cache", "index"):
        add_package(folder / f"log.{name}", "torch")
    assert machine.install(clone, "--force")[0] == 0
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")
    copy = tmp_path_factory.mktemp("copy") / "machine"
    shutil.copytree(folder, copy, symlinks=True)
    return machine, copy, clone, packages


@pytest.fixture
def machine(prepared):
    """Return that machine as it was, in the folder that its installation was made for."""
    machine, copy, *_ = prepared
    shutil.rmtree(machine.folder)
    shutil.copytree(copy, machine.folder, symlinks=True)
    return machine


@pytest.fixture
def installed(machine, prepared):
    """Return a clone whose .venv holds a package of the stack and the project."""
    return prepared[2:]


def remove(module, info):
    (info / "RECORD").unlink()
    info.rmdir()
    module.unlink()


def delete(module, info):
    module.unlink()


def cut(module, info):
    module.write_text("imp")


def test_a_file_of_two_packages_is_that_of_either(repo, tmp_path):
    infos = [add_package(tmp_path, name)[1] for name in ("a", "b", "c")]
    shared = tmp_path / "docs/conf.py"
    shared.parent.mkdir()
    for info, text in zip(infos, ("aa", "bbbb", "cc"), strict=True):
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
        record = info / "RECORD"
        record.write_text(
            f"{record.read_text()}docs/conf.py,sha256={digest.rstrip('=')},{len(text)}\n"
        )
    names = [info.name for info in infos]

    def damaged(question):
        command = [sys.executable, repo / "requirements/installed.py", tmp_path, question]
        return subprocess.check_output([*command, *names], text=True).split()

    for text in ("aa", "bbbb", "cc"):
        shared.write_text(text)
        assert damaged("sizes") == damaged("contents") == []
    shared.write_text("dd")
    assert damaged("sizes") == [] and damaged("contents") == names
    shared.unlink()
    assert damaged("sizes") == names
    shared.write_text("aa")
    (tmp_path / "b.py").unlink()
    assert damaged("sizes") == names[1:2]


@pytest.mark.parametrize("harm", [remove, delete, cut])
@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("gcp_mm", ["project"]),
        ("torch", ["cache clean --quiet torch", "sync", "project"]),
    ],
)
def test_damage_is_named_and_mended(machine, installed, harm, name, cure):
    clone, packages = installed
    harm(*packages[name])
    status, output = machine.install(clone, "--check-only")
    assert status == 0 and output.endswith(".venv is missing or out of date\n")
    status, output = machine.install(clone)
    assert status == 0, output
    assert f"Missing or damaged in .venv: {name}-1.0.dist-info" in output
    assert machine.done() == cure
    # One package, and not the gigabytes of all.
    syncs = [line for line in machine.commands() if line.startswith("pip sync")]
    assert all(" --reinstall-package torch --require-hashes" in line for line in syncs)
    if name == "torch":
        assert packages[name][0].read_text() == "import this\n"
        assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")


def test_force_installs_every_package_again(machine, installed):
    clone, _ = installed
    machine.install(clone, "--force")
    (sync,) = [line for line in machine.commands() if line.startswith("pip sync")]
    assert " --reinstall --require-hashes" in sync
    assert not [line for line in machine.commands() if line.startswith("cache clean")]


def test_damage_in_the_cache_is_not_installed_again(machine, installed):
    """The files of uv's cache are those of .venv: cut in one clone, they are cut in the next."""
    clone, _ = installed
    (machine.folder / "log.cache/torch.py").write_text("imp")
    shutil.rmtree(clone / ".venv")
    status, output = machine.install(clone)
    assert status == 0, output
    assert "damaged in uv's cache, hence taken anew: torch-1.0.dist-info" in output
    assert machine.done() == ["venv", "sync", "cache clean --quiet torch", "sync", "project"]
    assert "--reinstall" not in machine.commands()[1]
    assert (clone / ".venv/lib/python3/site-packages/torch.py").read_text() == "import this\n"


def test_force_compares_contents(machine, installed):
    """Other bytes of the same number are nothing that a quick look finds."""
    clone, packages = installed
    module, _ = packages["torch"]
    for path in (module, machine.folder / "log.cache/torch.py"):
        path.write_text("imporr this\n")
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")
    status, output = machine.install(clone, "--force")
    assert status == 0, output
    assert "contents are not those of the packages: torch-1.0.dist-info" in output
    assert machine.done()[:2] == ["cache clean --quiet torch", "sync"]
    assert module.read_text() == "import this\n"


def test_what_a_user_adds_and_removes_is_no_damage(machine, installed):
    clone, _ = installed
    module, info = add_package(clone / ".venv/lib/python3/site-packages", "extra")
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")
    # Another stamp is written with it there.
    (clone / "setup.py").write_text("changed")
    assert "installing the changed project" in machine.install(clone)[1]
    remove(module, info)
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")


def test_damaged_kernels_are_compiled_again(machine, installed):
    clone, _ = installed
    library = clone / "gcp_mm/ops/cpu_kernels/_kernels.so"
    library.parent.mkdir(parents=True)
    library.write_text("compiled")
    machine.install(clone)
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")
    library.write_text("comp")
    assert "installing the changed project" in machine.install(clone)[1]
    assert machine.done() == ["project"]


def test_library_that_ends_python_is_said(machine):
    status, output = machine.install(machine.clone("other"), FAKE_DOCTOR="135")
    assert status == 1
    assert "a library of it ended Python (signal 7)" in output and "--force" in output
