"""Make a tree like ImageNet-C or ImageNet-P from images in one folder per class."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from gcp_mm.console.command_names import next_command
from gcp_mm.console.run_command import run_command
from gcp_mm.robustness.names import ALL_CORRUPTIONS, PERTURBATIONS


def parse(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog="Started again, it goes on with the files that are missing. Scores on such a tree "
        "are not comparable with published ones: the released JPEG files are the benchmark.",
    )
    parser.add_argument("source", type=Path, help="folder with <class>/<image>")
    parser.add_argument("out", type=Path, help="the tree; one of equal settings is continued")
    parser.add_argument("--dataset", choices=("imagenet-c", "imagenet-p"), required=True)
    parser.add_argument(
        "--corruptions",
        nargs="+",
        metavar="NAME",
        help="of imagenet-c: names, groups (noise, blur, weather, digital, extra), "
        "'benchmark' (the first 15) or 'all' (default); " + ", ".join(ALL_CORRUPTIONS),
    )
    parser.add_argument(
        "--severities",
        nargs="+",
        type=int,
        metavar="N",
        help="of imagenet-c: 1 to 5 (default: all)",
    )
    parser.add_argument(
        "--perturbations",
        nargs="+",
        metavar="NAME",
        help="of imagenet-p (default: all): " + ", ".join(PERTURBATIONS),
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--size", type=int, default=224, help="side of the images (default 224)")
    size.add_argument("--keep-size", action="store_true", help="neither resize nor crop")
    parser.add_argument(
        "--ignore-orientation",
        action="store_true",
        help="do not turn photographs as their orientation tags say, as for ImageNet",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images of each class")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is random")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes (default: one for each core)"
    )
    return parser.parse_args(argv)


def _found_in(args: argparse.Namespace) -> list[object]:
    """Return the options by which the cells that were made are evaluated."""
    from gcp_mm.robustness.data.fixed_size import RELEASED_SIZE

    found = ["--dataset", args.dataset, "--data-root", args.out]
    if args.keep_size or args.size != RELEASED_SIZE:
        # Of images that kept their sizes, the only one that a network is known to take.
        found += ["--input-size", RELEASED_SIZE if args.keep_size else args.size]
    for option in ("corruptions", "severities", "perturbations"):
        if (chosen := getattr(args, option)) is not None:
            found += [f"--{option}", *chosen]
    if args.dataset == "imagenet-c" and args.limit is None:
        found += ["--clean-root", args.source]
    return found


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Make the tree."""
    args = parse(argv, prog)

    def command() -> None:
        from gcp_mm.console.progress import Stages
        from gcp_mm.robustness.corrupt import make_corruptions
        from gcp_mm.robustness.corrupt.cells import choose_cells

        cells = choose_cells(args.dataset, args.corruptions, args.severities, args.perturbations)
        with Stages() as stages:
            written, kept = make_corruptions(
                args.source,
                args.out,
                cells,
                size=None if args.keep_size else args.size,
                limit=args.limit,
                seed=args.seed,
                workers=args.workers,
                ignore_orientation=args.ignore_orientation,
                on_image=stages,
            )
        print(
            f"results: {args.out}: {len(cells)} cells of {(written + kept) // len(cells)} images, "
            f"{written} files written and {kept} kept"
        )
        print(next_command("robustness", "CONFIG", "CHECKPOINT", *_found_in(args)))

    run_command(command)
