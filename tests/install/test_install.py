"""What the installer does, leaves alone and survives."""

import signal
import time
from pathlib import Path

FULL = ["venv --quiet", "pip sync", "wheel  0", "pip install", "pip install", "project"]


def test_installs_once_and_follows_changes(machine):
    clone = machine.clone()
    status, output = machine.install(clone)
    assert (status, machine.done()) == (0, FULL), output
    assert [line[:5] for line in output.splitlines() if line[:1] == "["] == [
        f"[{step}/5]" for step in range(1, 6)
    ]
    started = time.monotonic()
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")
    assert machine.done() == []
    assert time.monotonic() - started < 10

    (clone / "configs" / "new.py").write_text("# a config that is copied on installation\n")
    assert machine.install(clone)[0] == 0
    assert machine.done() == ["pip install", "project"]

    with (clone / "requirements" / "lock.txt").open("a") as lock:
        lock.write("# changed\n")
    assert machine.install(clone)[0] == 0
    assert machine.done() == ["pip sync", "pip install", "pip install", "project"]


def test_missing_kernels_are_compiled_again(machine):
    clone = machine.clone()
    machine.install(clone)
    library = clone / "gcp_mm/ops/cpu_kernels/_kernels.so"
    library.parent.mkdir(parents=True)
    library.touch()
    # As installed from here on.
    machine.install(clone, "--force")
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")
    library.unlink()
    assert machine.install(clone)[0] == 0
    assert machine.done() == ["pip install", "project"]
    # Where they cannot be compiled, once is enough.
    assert machine.install(clone) == (0, "Installed already: .venv is up to date.\n")


def test_other_trees_use_the_wheel_but_not_the_environment(machine):
    clone = machine.clone()
    machine.install(clone)
    status, output = machine.install(machine.clone("second"))
    assert status == 0
    assert "built before" in output
    assert "wheel  0" not in machine.done()

    clone.rename(machine.folder / "moved")
    status, output = machine.install(machine.folder / "moved")
    assert (status, machine.done()[0]) == (0, "venv --quiet")
    assert f"it was made for {clone}" in output


def test_failed_build_says_why_and_leaves_no_wheel(machine):
    clone = machine.clone()
    status, output = machine.install(clone, FAKE_BUILD="fails")
    assert status != 0
    assert "fatal error: Killed" in output
    assert f"{clone}/.cache/mmcv-build.log" in output
    assert "MAX_JOBS=1 make install" in output
    assert machine.kept() == []
    assert machine.install(clone)[0] == 0


def test_interrupted_build_ends_its_compilers(machine):
    process = machine.start(machine.clone(), FAKE_BUILD="hangs")
    pid_file = Path(f"{machine.log}.pid")
    for _ in range(200):
        if pid_file.exists() and pid_file.read_text().strip():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 130
    compiler = Path("/proc", pid_file.read_text().strip(), "stat")
    time.sleep(0.1)
    assert not compiler.exists() or compiler.read_text().split()[2] == "Z"
    assert machine.kept() == []


def test_failed_self_check_fails_the_install(machine):
    clone = machine.clone()
    status, output = machine.install(clone, FAKE_DOCTOR="1")
    assert status != 0
    assert "FAIL" in output
    assert machine.install(clone)[0] == 0
    assert machine.done()[0] == "pip sync"


def test_force_cuda_rebuilds_and_stays(machine):
    clone = machine.clone()
    machine.install(clone)
    assert machine.install(clone, FORCE_CUDA="1", TORCH_CUDA_ARCH_LIST="9.0")[0] == 0
    assert "wheel  1" in machine.done()
    assert machine.install(clone, FORCE_CUDA="")[0] == 0
    assert machine.done() == []
