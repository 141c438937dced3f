"""The source build of mmcv, ``MMCV=build``."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILT = ["venv", "sync", "wheel  0 precompiled_cxx.sh", "no mmcv-lite", "mmcv", "project"]


def test_built_mmcv_takes_the_place_of_mmcv_lite_and_stays(machine):
    clone = machine.clone()
    status, output = machine.install(clone, MMCV="build", FORCE_CUDA="0")
    assert (status, machine.done()) == (0, BUILT), output
    assert machine.install(clone)[1].startswith("Installed already")
    machine.install(clone, "--force", FORCE_CUDA="0")
    assert machine.done() == ["sync", "no mmcv-lite", "mmcv", "project"]
    machine.install(clone, MMCV="lite")
    assert machine.done() == ["sync", "project"]
    assert "\nmmcv-lite=" in machine.requirements()
    assert machine.install(clone)[1].startswith("Installed already")


def test_wheel_is_built_once_for_a_machine(machine):
    machine.install(machine.clone(), MMCV="build")
    status, output = machine.install(machine.clone("second"), MMCV="build")
    assert status == 0
    assert "built before" in output
    assert machine.done() == ["venv", "sync", "no mmcv-lite", "mmcv", "project"]


def test_failed_build_says_why_and_leaves_no_wheel(machine):
    clone = machine.clone()
    status, output = machine.install(clone, MMCV="build", FAKE_BUILD="fails")
    assert status != 0
    assert "fatal error: Killed" in output
    assert f"{clone}/.cache/mmcv-build.log" in output
    assert "MAX_JOBS=1" in output
    assert machine.kept() == []
    # What was there before serves until mmcv is built.
    assert (clone / ".venv/lib/python3/site-packages/mmcv/__init__.py").exists()
    assert machine.install(clone)[0] == 0
    assert "mmcv" in machine.done()


def test_interrupted_build_ends_its_compilers(machine):
    process = machine.start(machine.clone(), MMCV="build", FAKE_BUILD="hangs")
    pid_file = Path(f"{machine.log}.pid")
    for _ in range(400):
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


def test_force_cuda_rebuilds_and_stays(machine):
    clone = machine.clone()
    machine.install(clone, MMCV="build", FORCE_CUDA="0")
    machine.install(clone, MMCV="build", FORCE_CUDA="1", TORCH_CUDA_ARCH_LIST="9.0")
    assert "wheel  1 precompiled_cxx.sh" in machine.done()
    assert machine.install(clone)[0] == 0
    assert machine.done() == []


@pytest.mark.parametrize("compiler", ["clang++", "ccache c++"])
def test_other_compilers_get_no_precompiled_header(machine, compiler):
    machine.script("ccache", '#!/usr/bin/env bash\nexec "$@"\n')
    macros = "printf '#define __GNUC__ 4\\n#define __clang__ 1\\n'"
    machine.script("clang++", f"#!/usr/bin/env bash\ncat >/dev/null\n{macros}\n")
    status, output = machine.install(machine.clone(), MMCV="build", CXX=compiler)
    assert status == 0, output
    assert f"wheel  0 {compiler}" in machine.done()


# A file system without locks answers neither 0 nor 1 (that is: locked by another).
NO_LOCKS = "#!/usr/bin/env bash\nexit 71\n"


def test_file_system_without_locks(machine):
    machine.script("flock", NO_LOCKS)
    status, output = machine.install(machine.clone(), MMCV="build")
    assert (status, machine.done()) == (0, BUILT), output
    assert "another install" not in output


def test_wheel_that_another_install_builds_is_waited_for(machine):
    # Taken at first, free when waited for.
    machine.script("flock", "#!/usr/bin/env bash\n[[ $1 != -n ]]\n")
    status, output = machine.install(machine.clone(), MMCV="build")
    assert status == 0
    assert "another install is building the same wheel" in output


# The wrapper with a compiler that writes down how it was called.
COMPILER = """#!/usr/bin/env bash
echo "$*" >>{log}
for last; do :; done
case "$*" in *c++-header*) {header} ;; esac
"""


def compile_with(tmp_path, header, *arguments):
    log, compiler = tmp_path / "log", tmp_path / "compiler"
    compiler.write_text(COMPILER.format(log=log, header=header))
    compiler.chmod(0o755)
    environment = {**os.environ, "GCP_MM_CXX": f"{compiler} --driver", "GCP_MM_PCH": str(tmp_path)}
    script = ROOT / "requirements/precompiled_cxx.sh"
    result = subprocess.run([script, *arguments], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return log.read_text().splitlines()


def test_header_is_compiled_once_with_the_flags_of_the_files(tmp_path):
    header = tmp_path / "torch_headers.h"
    for _ in range(2):
        calls = compile_with(
            tmp_path, 'touch "$last"', "-MMD", "-MF", "a.d", "-O2", "-c", "a.cpp", "-o", "a.o"
        )
    assert calls == [
        f"--driver -O2 -x c++-header {header} -o {header}.gch.new",
        *[f"--driver -include {header} -MMD -MF a.d -O2 -c a.cpp -o a.o"] * 2,
    ]
    assert (tmp_path / "torch_headers.h.gch").exists()


def test_header_that_cannot_be_compiled_does_not_stop_the_build(tmp_path):
    calls = compile_with(tmp_path, 'touch "$last"; exit 1', "-c", "a.cpp")
    assert len(calls) == 2
    assert list(tmp_path.glob("*.gch*")) == []


@pytest.mark.parametrize("arguments", [("-shared", "a.o", "-o", "a.so"), ("-c", "a.cu"), ("-v",)])
def test_other_calls_go_through(tmp_path, arguments):
    assert compile_with(tmp_path, "exit 1", *arguments) == [f"--driver {' '.join(arguments)}"]


def test_header_is_made_on_a_file_system_without_locks(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/flock").write_text(NO_LOCKS)
    (tmp_path / "bin/flock").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    compile_with(tmp_path, 'touch "$last"', "-c", "a.cpp")
    assert (tmp_path / "torch_headers.h.gch").exists()
