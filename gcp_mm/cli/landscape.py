"""Measure how smooth the loss of a classifier is: train and probe, probe checkpoints, plot."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gcp_mm.cli.landscape_commands import curvature, plot, probe, run, surface
from gcp_mm.console.run_command import run_command


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line and run one command.

    Args:
        argv: Command line without the program; ``sys.argv`` if None.
        prog: How the program is called in its help; the file of ``sys.argv`` if None.
    """
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in (run, probe, plot, surface, curvature):
        module.add_parser(subparsers)
    args = parser.parse_args(argv)
    run_command(lambda: args.command(args))
