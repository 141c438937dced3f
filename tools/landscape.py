"""Measure how smooth the loss of a classifier is: train and probe, probe checkpoints, plot."""

import argparse

from gcp_mm.cli.run_command import run_command
from gcp_mm.landscape.commands import curvature, plot, probe, run, surface


def main() -> None:
    """Parse the command line and run one command."""
    parser = argparse.ArgumentParser(description=__doc__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (run, probe, plot, surface, curvature):
        module.add_parser(subparsers)
    args = parser.parse_args()
    run_command(lambda: args.command(args))


if __name__ == "__main__":
    main()
