"""Pack what a bare machine with a GPU lacks to run gpu_check.py: wheels, and images from ../shared.

The wheels are those of requirements/lock.txt, for Linux on x86-64: OpenMMLab, pycocotools, and what
they import. The machine itself has PyTorch, torchvision, Triton, NumPy, SciPy, OpenCV, Matplotlib
and Pillow, whose wheels alone would be larger than the bundle may be.
"""

from __future__ import annotations

import argparse
import email
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from gpu_parts.packed import BUNDLE, pack_coco, pack_imagenette
from gpu_parts.settings import REPO

MOST_BYTES = 60 * 2**20
PACKAGES = (
    *("mmengine", "mmcv-lite", "mmdet", "mmpretrain", "pycocotools", "wrapt", "setuptools"),
    *("addict", "yapf", "platformdirs", "termcolor", "rich", "markdown-it-py", "mdurl", "pygments"),
    *("terminaltables", "shapely", "six", "tqdm", "tabulate", "pyyaml", "packaging"),
    *("einops", "mat4py", "modelindex", "model-index", "ordered-set", "click", "safetensors"),
    *("importlib-metadata", "zipp", "lazy-importer", "markdown", "pytorchcv"),
    *("pytest", "pluggy", "iniconfig"),
)
"""Names in the lock."""

ON_THE_MACHINE = {"torch", "torchvision", "numpy", "scipy", "matplotlib", "pillow"}
ON_THE_MACHINE |= {"opencv-python", "opencv-python-headless"}
UNUSED = {"requests"}
"""What a package asks for and nothing here imports."""

PLATFORMS = tuple(f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17, 12, 5)) + (
    *("manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"),
)


def requirements(lock: str, names: tuple[str, ...], python: str) -> str:
    """Return the lines of a lock, with their hashes, for some packages and a version of Python."""
    from packaging.markers import Marker

    found: dict[str, list[str]] = {}
    current = ""
    for line in lock.splitlines():
        if line and line[0].isalnum():
            requirement, _, marker = line.rstrip(" \\").partition(";")
            applies = not marker or Marker(marker).evaluate(
                {"python_version": python, "python_full_version": f"{python}.0"}
            )
            current = requirement.partition("==")[0].strip() if applies else ""
            # Without the marker, which pip would evaluate for the Python that runs it.
            line = f"{requirement.strip()} \\" if line.endswith("\\") else requirement.strip()
        if current in names:
            found.setdefault(current, []).append(line)
    absent = sorted(set(names) - found.keys())
    if absent:
        raise SystemExit(f"requirements/lock.txt has no {', '.join(absent)}")
    return "\n".join(line for lines in found.values() for line in lines) + "\n"


def download(folder: Path, python: str) -> None:
    """Download the wheels."""
    text = requirements((REPO / "requirements/lock.txt").read_text(), PACKAGES, python)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        platforms = [word for name in PLATFORMS for word in ("--platform", name)]
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes"),
                *("--implementation", "cp", "--python-version", python, *platforms),
                *("--dest", str(folder), "-r", file.name),
            ],
            check=True,
        )


def unmet(folder: Path, python: str) -> set[str]:
    """Return what wheels ask for that is neither among them nor on the machine."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    packed, wanted = set(), set()
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith("-info/METADATA"))
            metadata = email.message_from_bytes(archive.read(name))
        packed.add(canonicalize_name(metadata["Name"]))
        for text in metadata.get_all("Requires-Dist") or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                wanted.add(canonicalize_name(requirement.name))
    return wanted - packed - ON_THE_MACHINE - UNUSED


def commit() -> str | None:
    """Return the commit of the checkout, which the other machine may not be able to ask for."""
    words = ["git", "-C", str(REPO), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:  # no git
        return None
    return found.stdout.strip() or None


def main() -> None:
    """Pack, and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=BUNDLE, help=f"default: {BUNDLE.name}")
    parser.add_argument("--python", default="3.12", help="of the other machine")
    parser.add_argument("--data", type=Path, default=REPO.parent / "shared/data", help="images")
    parser.add_argument("--imagenette-mb", type=float, default=20, help="images are left out")
    args = parser.parse_args()
    shutil.rmtree(args.out, ignore_errors=True)
    (args.out / "wheels").mkdir(parents=True)
    download(args.out / "wheels", args.python)
    if missing := unmet(args.out / "wheels", args.python):
        raise SystemExit(f"PACKAGES lacks {', '.join(sorted(missing))}, which others need")
    if args.data.is_dir():
        pack_coco(args.data / "coco354", args.out, images=60, side=320)
        pack_imagenette(args.data / "imagenette96", args.out, 72, int(args.imagenette_mb * 1e6))
    else:
        print(f"without images, because {args.data} is absent: gpu_check.py will draw some")
    files = sorted(path for path in args.out.rglob("*") if path.is_file())
    sizes = {str(path.relative_to(args.out)): path.stat().st_size for path in files}
    content = {"commit": commit(), "python": args.python, "files": sizes}
    (args.out / "bundle.json").write_text(json.dumps(content, indent=1) + "\n")
    total = sum(sizes.values())
    print(f"{args.out}: {len(sizes)} files, {total / 2**20:.1f} MiB of at most 60")
    if total > MOST_BYTES:
        raise SystemExit("that is too much: give a smaller --imagenette-mb")


if __name__ == "__main__":
    main()
