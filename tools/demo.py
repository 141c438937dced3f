"""Train a GCP classifier and a Mask R-CNN that starts from it, small enough for two CPU cores."""

import argparse
import sys
from pathlib import Path

from gcp_mm.console.run_command import run_command


def main() -> None:
    """Parse the command line and run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", default="data/demo", help="folder for the data it makes")
    parser.add_argument("--work-dir", default="work_dirs/demo", help="folder for the results")
    args = parser.parse_args()

    def command() -> None:
        # Beside this folder and not in the package, and imported here, because it takes seconds
        # and --help should not.
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        from demo.run import run_demo

        run_demo(args.data_root, args.work_dir)

    run_command(command)


if __name__ == "__main__":
    main()
