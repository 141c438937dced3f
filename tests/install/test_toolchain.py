"""What the installer says about the tools it does not find."""


def test_no_compiler(machine):
    machine.remove("c++")
    status, output = machine.install(machine.clone())
    assert status != 0
    assert "no C++ compiler" in output
    assert "apt-get install g++" in output
    assert machine.done() == []


def test_broken_compiler(machine):
    machine.script("c++", "#!/usr/bin/env bash\nexit 1\n")
    status, output = machine.install(machine.clone(), "--check-only")
    assert status != 0
    assert "cannot compile" in output


def test_no_suitable_python(machine):
    machine.script("python3", "#!/usr/bin/env bash\necho 3.9.2\n")
    machine.script("python3.12", "#!/usr/bin/env bash\nexit 127\n")
    machine.script(
        "python3.11",
        "#!/usr/bin/env bash\nif [[ $2 == *Python.h* ]]; then exit 1; else echo 3.11.7; fi\n",
    )
    status, output = machine.install(machine.clone())
    assert status != 0
    assert "python3: is 3.9.2, and 3.10, 3.11 or 3.12 is needed" in output
    assert "python3.12: is there but does not run" in output
    assert "python3.11: is 3.11.7, without the headers (Python.h): apt-get install" in output
    assert "python3.10: not found" in output


def test_named_python_is_the_only_candidate(machine):
    status, output = machine.install(machine.clone(), PYTHON="python3.99")
    assert status != 0
    assert "python3.99: not found" in output
    assert "python3.12" not in output


def test_uv_without_venv_names_the_missing_package(machine):
    machine.remove("uv")
    status, output = machine.install(machine.clone())
    assert status != 0
    assert "apt-get install python3." in output
    assert "-venv" in output


def test_check_only_changes_nothing(machine):
    clone = machine.clone()
    before = sorted(clone.iterdir())
    status, output = machine.install(clone, "--check-only")
    assert status == 0, output
    assert "missing or out of date" in output
    assert sorted(clone.iterdir()) == before
