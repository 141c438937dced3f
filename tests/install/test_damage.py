"""What was removed or damaged after the installation is put back."""

import pytest


def add_package(clone, name, text="import this\n"):
    """Put a package with a RECORD into .venv, as an installer does."""
    site = clone / ".venv/lib/python3/site-packages"
    module, info = site / f"{name}.py", site / f"{name}-1.0.dist-info"
    info.mkdir()
    module.write_text(text)
    rows = [f"{name}.py,sha256=x,{len(text)}", f"__pycache__/{name}.pyc,,", f"{info.name}/RECORD,,"]
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    return module, info


@pytest.fixture
def installed(machine):
    """Return a clone whose .venv holds a package of the stack and the project."""
    clone = machine.clone()
    assert machine.install(clone)[0] == 0
    packages = {name: add_package(clone, name) for name in ("torch", "gcp_mm")}
    assert machine.install(clone, "--force")[0] == 0
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")
    return clone, packages


def remove(module, info):
    (info / "RECORD").unlink()
    info.rmdir()
    module.unlink()


def delete(module, info):
    module.unlink()


def cut(module, info):
    module.write_text("imp")


@pytest.mark.parametrize("harm", [remove, delete, cut])
@pytest.mark.parametrize(
    ("name", "cure"), [("gcp_mm", ["project"]), ("torch", ["sync --reinstall", "project"])]
)
def test_damage_is_named_and_mended(machine, installed, harm, name, cure):
    clone, packages = installed
    harm(*packages[name])
    status, output = machine.install(clone, "--check-only")
    assert status == 0 and output.endswith(".venv is missing or out of date\n")
    status, output = machine.install(clone)
    assert status == 0, output
    assert f"Missing or damaged in .venv: {name}-1.0.dist-info" in output
    (sync,) = [line for line in machine.commands() if line.startswith("pip sync")] or [""]
    done = machine.done()
    assert done == [step.partition(" ")[0] for step in cure]
    assert ("--reinstall" in sync) == ("sync --reinstall" in cure)


def test_force_installs_every_package_again(machine, installed):
    clone, _ = installed
    machine.install(clone, "--force")
    (sync,) = [line for line in machine.commands() if line.startswith("pip sync")]
    assert "--reinstall" in sync


def test_what_a_user_adds_is_no_damage(machine, installed):
    clone, _ = installed
    add_package(clone, "extra")
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")
