"""Write the demo data sets: handwritten digits and synthetic COCO-style scenes."""

import argparse
import shlex
import sys
from pathlib import Path

from gcp_mm.console.run_command import run_command


def main() -> None:
    """Write both data sets below `--root` and print where they are and what they hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", type=Path, default=Path("data/demo"), help="folder to write to (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="non-negative seed (%(default)s)")
    args = parser.parse_args()

    def command() -> None:
        # Beside this folder and not in the package, and imported here, because it takes seconds
        # and --help should not.
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
        from demo import write_digits, write_scenes

        for name, write in (("digits", write_digits), ("scenes", write_scenes)):
            print(f"{args.root / name}: {write(args.root / name, seed=args.seed)}")
        print(f"results: {args.root / 'digits'}, {args.root / 'scenes'}")
        if args.seed == parser.get_default("seed"):
            # The demo makes its data with this seed, and takes no others.
            demo = Path(sys.argv[0]).with_name("demo.py")
            print(f"next: python {shlex.join([str(demo), '--data-root', str(args.root)])}")

    run_command(command)


if __name__ == "__main__":
    main()
