"""`merge SHARD... --out FILE`: add up the shards of an evaluation."""

from __future__ import annotations

import argparse
from pathlib import Path

from gcp_mm.console.command_names import next_command


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command.

    Args:
        subparsers: Those of the tool.
    """
    parser = subparsers.add_parser(
        "merge",
        help="add up result files of --shard",
        description="Put the result files of all shards together; the counts are those of one "
        "evaluation without shards.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="of all shards")
    parser.add_argument("--out", type=Path, required=True, help="result file to write")
    parser.add_argument("--baseline", metavar="FILE", help="default: that of the shards")
    parser.set_defaults(command=command)


def command(args: argparse.Namespace) -> None:
    """Merge and print the measures.

    Args:
        args: The parsed command line.

    Raises:
        UserError: If the files are not all shards of one evaluation.
    """
    # Imported here, because they take seconds and --help should not.
    from gcp_mm.robustness.merge import merge
    from gcp_mm.robustness.summary import summary

    print(f"{summary(merge(args.files, args.out, args.baseline))}\nresults: {args.out}")
    print(next_command("robustness", "report", args.out))
