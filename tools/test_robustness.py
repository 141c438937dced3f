"""Evaluate a classifier on ImageNet-C or ImageNet-P; merge, compare and measure baselines."""

import argparse
import sys

from gcp_mm.cli.run_command import run_command
from gcp_mm.robustness.commands import baseline, merge, report, run

COMMANDS = {"run": run, "merge": merge, "baseline": baseline, "report": report}


def main() -> None:
    """Parse the command line and run one command."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Without a command: CONFIG CHECKPOINT --dataset imagenet-c|imagenet-p [options], "
        "see `run --help`.",
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS.values():
        module.add_parser(subparsers)
    arguments = sys.argv[1:]
    if arguments and arguments[0] not in (*COMMANDS, "-h", "--help"):
        arguments.insert(0, "run")
    args = parser.parse_args(arguments)
    run_command(lambda: args.command(args))


if __name__ == "__main__":
    main()
