"""Write the demo data sets: handwritten digits and synthetic COCO-style scenes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A checkout that is not installed has the package beside this folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gcp_mm.demo import write_digits, write_scenes


def main() -> None:
    """Write both data sets below `--root` and print where they are and what they hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", type=Path, default=Path("data/demo"), help="folder to write to (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="non-negative seed (%(default)s)")
    arguments = parser.parse_args()

    folder = arguments.root / "digits"
    try:
        print(f"{folder}: images {write_digits(folder, seed=arguments.seed)}")
        folder = arguments.root / "scenes"
        for split, counts in write_scenes(folder, seed=arguments.seed).items():
            print(f"{folder}, {split}: {counts}")
    except (FileExistsError, ValueError) as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
