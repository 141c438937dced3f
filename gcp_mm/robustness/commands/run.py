"""`CONFIG CHECKPOINT`: evaluate; the command that needs no word."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.console.command_names import next_command
from gcp_mm.engine.config import add_common_arguments
from gcp_mm.robustness.commands.arguments import add_arguments, read_arguments, shard_file

if TYPE_CHECKING:
    from gcp_mm.robustness.options import Options


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command.

    Args:
        subparsers: Those of the tool.
    """
    parser = subparsers.add_parser(
        "run",
        help="evaluate CONFIG CHECKPOINT; the word may be left out",
        description="Measure the cells of ImageNet-C or ImageNet-P that the result file lacks. "
        "Started again after an interruption, it continues. CONFIG 'alexnet' is torchvision's.",
    )
    add_common_arguments(parser)
    parser.add_argument("checkpoint", help="weights to evaluate")
    parser.add_argument(
        "--out", type=Path, help="result file (default: WORK_DIR/robustness/DATASET.json)"
    )
    add_arguments(parser)
    parser.set_defaults(command=command)


def command(args: argparse.Namespace) -> None:
    """Evaluate and print the measures.

    Args:
        args: The parsed command line.

    Raises:
        UserError: If something is missing, unreadable or does not fit.
    """
    # Imported here, because they take seconds and --help should not.
    from mmengine.dist import get_rank

    from gcp_mm.robustness.evaluate import evaluate
    from gcp_mm.robustness.summary import summary

    cfg, options = read_arguments(args, args.out)
    content = evaluate(cfg, args.checkpoint, options)
    if get_rank() == 0:
        print(f"{summary(content)}\nresults: {options.out}")
        if options.shard:
            target = options.out.with_name(f"{options.dataset}.json")
            print(next_command("robustness", "merge", *_shards(args, options), "--out", target))
        else:
            print(next_command("robustness", "report", options.out))


def _shards(args: argparse.Namespace, options: Options) -> list[object]:
    """Return the result files of all shards, as far as their names follow from this one's."""
    if args.out:
        # The others may be anywhere.
        return ["SHARD..."]
    number = options.shard[1]
    return [options.out.with_name(shard_file(options.dataset, (i, number))) for i in range(number)]
