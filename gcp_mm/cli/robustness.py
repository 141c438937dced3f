"""Evaluate a classifier on ImageNet-C or ImageNet-P; merge, compare and measure baselines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gcp_mm.console.run_command import run_command
from gcp_mm.robustness.commands import baseline, merge, report, run

COMMANDS = {"run": run, "merge": merge, "baseline": baseline, "report": report}


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line and run one command.

    Args:
        argv: Command line without the program; ``sys.argv`` if None.
        prog: How the program is called in its help; the file of ``sys.argv`` if None.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog="Without a command: CONFIG CHECKPOINT --dataset imagenet-c|imagenet-p [options], "
        "see `run --help`.",
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS.values():
        module.add_parser(subparsers)
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] not in (*COMMANDS, "-h", "--help"):
        arguments.insert(0, "run")
    args = parser.parse_args(arguments)
    run_command(lambda: args.command(args))
