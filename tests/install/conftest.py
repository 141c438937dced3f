"""A machine of stand-ins for uv, pip, Python and the compiler, to run the installer on."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# All that PATH holds besides the stand-ins, so that nothing of the machine is found by chance.
TOOLS = (
    "awk basename bash cat chmod cp cut date df dirname env find flock grep head make mkdir mktemp"
    " mv nproc rm sed sha256sum sleep sort tail tee touch tr uname"
).split()
# Version, implementation, bits, threading, C library, headers, venv; the path is added.
FACTS = "3.11.7 CPython 64 gil glibc-2.36 headers venv"

# Stands in for the interpreter, of the machine and (copied by `uv venv`) of .venv.
PYTHON = f"""#!/usr/bin/env bash
case "$*" in
  -)
    case $(cat) in
      *get_device_capability*) echo "${{FAKE_CAPABILITIES:-}}" ;;
      *) echo 'cp311 2.13.0+cu130 13' ;;  # torch_tags
    esac ;;
  *Py_GIL_DISABLED*) echo "${{FAKE_FACTS:-{FACTS}}} $0" ;;
  '-c import platform;'*) facts=${{FAKE_FACTS:-{FACTS}}}; echo "${{facts%% *}}" ;;
  '-m gcp_mm.doctor')
    # As the real one, which fails for a GPU that is there and not used.
    if [[ -n ${{CUDA_VISIBLE_DEVICES-all}} ]]; then exit "${{FAKE_DOCTOR:-0}}"; fi ;;
  '-m venv '*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo venv-module >>"$FAKE_LOG" ;;
  '-m pip install '*) cp "$FAKE_BIN/spare-uv" "${{0%/*}}/uv"; echo "$*" >>"$FAKE_LOG" ;;
  '-m pip wheel '*)
    echo "wheel $CUDA_VISIBLE_DEVICES $FORCE_CUDA ${{CXX##*/}}" >>"$FAKE_LOG"
    case "$*" in *--no-index*) echo 'wheel without index' >>"$FAKE_LOG" ;; esac
    $CXX --version >/dev/null || exit 1  # split at blanks, as by ninja
    echo ' [1/2] c++ nms.cpp'
    if [[ ${{FAKE_BUILD:-}} == hangs ]]; then sleep 300 & echo $! >"$FAKE_LOG.pid"; wait; fi
    if [[ ${{FAKE_BUILD:-}} == fails ]]; then echo 'c++: fatal error: Killed'; exit 1; fi
    while [[ $1 != -w ]]; do shift; done
    mkdir "$2" && touch "$2/mmcv-2.1.0-cp311-cp311-linux.whl" ;;
  *) exec {sys.executable} "$@" ;;
esac
"""
UV = """#!/usr/bin/env bash
if [[ $1 == --version ]]; then echo "uv ${FAKE_UV_VERSION:-9.9.9}"; exit; fi
echo "$*" >>"$FAKE_LOG"
{ echo "$*"; env | grep -E '^(UV|SSL|PIP)_' | sort; } >>"$FAKE_LOG.environment"
for last; do :; done
case "$*" in
  'cache clean'*) cp -r "$FAKE_LOG.index/." "$FAKE_LOG.cache" 2>/dev/null ;;
  venv*) mkdir -p "$last/bin" "$last/lib/python3/site-packages"
    cp "$FAKE_PYTHON" "$last/bin/python" ;;
  'pip sync'*)
    cp "$last" "$FAKE_LOG.requirements"
    venv=.venv; case $last in *onedl*) venv=.venv-onedl ;; esac
    rm -rf "$venv/lib/python3/site-packages/mmcv"
    if grep -qE '^(mmcv-lite|onedl-mmcv)=' "$last"; then
      mkdir -p "$venv/lib/python3/site-packages/mmcv"
      touch "$venv/lib/python3/site-packages/mmcv/__init__.py"
    fi
    if [[ -d $FAKE_LOG.cache ]]; then
      cp -r "$FAKE_LOG.cache/." "$venv/lib/python3/site-packages"
    fi ;;
  'pip install'*--target*)
    while [[ $1 != --target ]]; do shift; done
    mkdir "$2"
    if [[ ${FAKE_BREAK:-} == peers ]]; then echo 'connection lost' >&2; exit 1; fi
    if [[ ${FAKE_BREAK:-} == hash ]]; then echo 'Hash mismatch for x==1' >&2; exit 1; fi ;;
  'pip uninstall'*mmcv-lite) rm -rf .venv/lib/python3/site-packages/mmcv ;;
  *.whl) mkdir -p .venv/lib/python3/site-packages/mmcv
    touch .venv/lib/python3/site-packages/mmcv/_ext.so ;;
  run*)  # pip download
    while [[ $1 != --dest ]]; do shift; done
    for name in $FAKE_FILES; do
      case "$last:$name" in
        */uv.txt:uv-* | */mmcv.txt:mmcv-*) ;;
        */lock.txt:uv-* | */lock.txt:mmcv-2*) continue ;;
        */lock.txt:*) ;;
        *) continue ;;
      esac
      if [[ -f $2/$name ]]; then echo "File was already downloaded $2/$name"; continue; fi
      if [[ $name == "${FAKE_BREAK:-}" ]]; then echo 'connection lost' >&2; exit 1; fi
      echo "downloaded $name" >>"$FAKE_LOG"
      echo "$name" >"$2/$name"; echo "Saved ./$name"
    done ;;
esac
"""


class Machine:
    """A machine of stand-ins with a clone of the project on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.log = folder, folder / "bin", folder / "log"
        self.release = folder / "os-release"
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            if found is None:
                pytest.skip(f"{tool} is not installed")
            (self.bin / tool).symlink_to(found)
        self.script("python3", PYTHON)
        self.script("uv", UV)
        # A compiler that says it is GCC and takes every file.
        self.script("c++", "#!/usr/bin/env bash\ncat >/dev/null\necho '#define __GNUC__ 12'\n")
        self.runs_on("bookworm", "Debian GNU/Linux 12 (bookworm)")

    def runs_on(self, codename: str, name: str, more: str = "ID=debian") -> None:
        """Choose the release that os-release tells."""
        self.release.write_text(f'{more}\nVERSION_CODENAME={codename}\nPRETTY_NAME="{name}"\n')

    def script(self, name: str, text: str) -> None:
        """Put a command onto PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)  # it may be a link to a tool of the system
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def remove(self, name: str) -> None:
        (self.bin / name).unlink()

    def clone(self, name: str = "clone") -> Path:
        clone = self.folder / name
        shutil.copytree(ROOT / "requirements", clone / "requirements")
        (clone / "configs").mkdir()
        (clone / "setup.py").touch()
        return clone

    def start(self, clone: Path, *arguments: str, script="install", **environment: str):
        self.log.write_text("")
        settings = {
            "PATH": str(self.bin),
            "HOME": str(self.folder),
            "FAKE_LOG": str(self.log),
            "FAKE_BIN": str(self.bin),
            "FAKE_PYTHON": str(self.bin / "python3"),
            "GCP_MM_OS_RELEASE": str(self.release),
            "GCP_MM_DEV": str(self.folder),
            "GCP_MM_CUDA": str(self.folder / "cuda"),
            "XDG_CONFIG_DIRS": str(self.folder),
            "PIP_CONFIG_FILE": "/dev/null",
        }
        return subprocess.Popen(
            ["bash", f"requirements/{script}.sh", *arguments],
            cwd=clone,
            env={**settings, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def install(self, clone: Path, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(clone, *arguments, **environment)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def bundle(self, clone: Path, **environment: str) -> tuple[int, str]:
        return self.install(clone, script="bundle", **environment)

    def commands(self) -> list[str]:
        """The full lines of what the stand-ins were asked to do by the last install."""
        return [line.strip() for line in self.log.read_text().splitlines()]

    def done(self) -> list[str]:
        """The same in short: venv, sync, project, mmcv, no mmcv-lite, torch, or the line."""
        short = []
        for line in self.commands():
            for key, start, end in (
                ("venv", "venv ", ""),
                ("sync", "pip sync ", ""),
                ("project", "pip install ", "--editable ."),
                ("mmcv", "pip install ", ".whl"),
                ("no mmcv-lite", "pip uninstall ", " mmcv-lite"),
                ("torch", "pip install ", "torchvision==0.28.0"),
            ):
                if line.startswith(start) and line.endswith(end):
                    line = key
            short.append(line)
        return short

    def requirements(self) -> str:
        """What was synchronised last."""
        return Path(f"{self.log}.requirements").read_text()

    def environment(self) -> str:
        """All calls of uv with its variables."""
        return Path(f"{self.log}.environment").read_text()

    def kept(self) -> list[str]:
        """Names of what is in the wheel cache, without the lock files."""
        found = (self.folder / ".cache/gcp_mm/wheels").iterdir()
        return [path.name for path in found if path.suffix != ".lock"]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)
