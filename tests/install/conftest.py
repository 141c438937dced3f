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
    "awk basename bash cat chmod cp cut date dirname env find flock grep head mkdir mktemp mv nproc"
    " rm sed sha256sum sleep sort tail touch tr uname"
).split()

# Stands in for the interpreter, of the machine and (copied by `uv venv`) of .venv.
PYTHON = f"""#!/usr/bin/env bash
case "$*" in
  -) cat >/dev/null; echo 'cp311 2.13.0+cu130 13' ;;  # torch_tags
  '-m gcp_mm.doctor') exit "${{FAKE_DOCTOR:-0}}" ;;
  '-m venv '*) exit 1 ;;
  '-m pip wheel '*)
    echo "wheel $CUDA_VISIBLE_DEVICES $FORCE_CUDA" >>"$FAKE_LOG"
    echo ' [1/2] c++ nms.cpp'
    if [[ ${{FAKE_BUILD:-}} == hangs ]]; then sleep 300 & echo $! >"$FAKE_LOG.pid"; wait; fi
    if [[ ${{FAKE_BUILD:-}} == fails ]]; then echo 'c++: fatal error: Killed'; exit 1; fi
    mkdir "${{!#}}" && touch "${{!#}}/mmcv-2.1.0-cp311-cp311-linux.whl" ;;
  *) exec {sys.executable} "$@" ;;
esac
"""
UV = """#!/usr/bin/env bash
if [[ $1 == --version ]]; then echo 'uv 9.9.9'; exit; fi
echo "$1 $2" >>"$FAKE_LOG"
site=.venv/lib/python3/site-packages
case "$*" in
  venv*) mkdir -p .venv/bin "$site" && cp "$FAKE_PYTHON" .venv/bin/python ;;
  'pip sync'*) rm -rf "$site/mmcv" ;;
  *.whl) mkdir -p "$site/mmcv" && touch "$site/mmcv/_ext.so" ;;
  *--editable*) echo project >>"$FAKE_LOG" ;;
esac
"""


class Machine:
    """A machine of stand-ins with a clone of the project on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.log = folder, folder / "bin", folder / "log"
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            if found is None:
                pytest.skip(f"{tool} is not installed")
            (self.bin / tool).symlink_to(found)
        self.script("python3", PYTHON)
        self.script("uv", UV)
        self.script("c++", "#!/usr/bin/env bash\ncat >/dev/null\n")

    def script(self, name: str, text: str) -> None:
        """Put a command onto PATH."""
        path = self.bin / name
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

    def start(self, clone: Path, *arguments: str, **environment: str) -> subprocess.Popen:
        self.log.write_text("")
        settings = {
            "PATH": str(self.bin),
            "HOME": str(self.folder),
            "FAKE_LOG": str(self.log),
            "FAKE_PYTHON": str(self.bin / "python3"),
            "FORCE_CUDA": "0",
        }
        return subprocess.Popen(
            ["bash", "requirements/install.sh", *arguments],
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

    def done(self) -> list[str]:
        """What the stand-ins were asked to do by the last install."""
        return [line.strip() for line in self.log.read_text().splitlines()]

    def kept(self) -> list[str]:
        """Names of what is in the wheel cache, without the lock files."""
        found = (self.folder / ".cache/gcp_mm/wheels").iterdir()
        return [path.name for path in found if path.suffix != ".lock"]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)
