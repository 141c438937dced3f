"""`baseline alexnet WEIGHTS`: measure what errors are divided by."""

from __future__ import annotations

import argparse
from pathlib import Path

from gcp_mm.console.command_names import next_command
from gcp_mm.engine.config import add_common_arguments
from gcp_mm.errors import UserError
from gcp_mm.robustness.commands.arguments import add_arguments, read_arguments


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command.

    Args:
        subparsers: Those of the tool.
    """
    parser = subparsers.add_parser(
        "baseline",
        help="measure AlexNet or another network as a baseline",
        description="Evaluate a network and write a file for --baseline. CONFIG is 'alexnet' for "
        "torchvision's AlexNet (weights: alexnet-owt-7be5be79.pth), the config of another network, "
        "or a complete result file (.json), which is written as a baseline without measuring. "
        "AlexNet's top-5 distances on ImageNet-P were never published: mT5D needs this file.",
    )
    add_common_arguments(parser)
    parser.add_argument("checkpoint", nargs="?", help="weights")
    parser.add_argument("--out", type=Path, required=True, help="baseline file to write (.json)")
    parser.add_argument(
        "--result", type=Path, help="result file, continued after an interruption (default: beside)"
    )
    add_arguments(parser)
    parser.set_defaults(command=command)


def command(args: argparse.Namespace) -> None:
    """Measure, or take a result, and write the baseline.

    Args:
        args: The parsed command line.

    Raises:
        UserError: If something is missing or does not fit, or cells are missing.
    """
    # Imported here, because they take seconds and --help should not.
    from mmengine.dist import get_rank

    from gcp_mm.robustness.baseline_file import check_options, write_baseline
    from gcp_mm.robustness.evaluate import evaluate
    from gcp_mm.robustness.result import read_result

    if args.config.endswith(".json"):
        content = read_result(args.config)
    elif args.checkpoint is None:
        raise UserError("baseline needs CONFIG and CHECKPOINT, or one result file (.json)")
    else:
        result = args.result or args.out.with_name(f"{args.out.stem}_result.json")
        cfg, options = read_arguments(args, result)
        check_options(options)
        content = evaluate(cfg, args.checkpoint, options)
    if get_rank() == 0:
        write_baseline(content, args.out)
        print(f"results: {args.out}")
        data = ("--dataset", content["dataset"], "--baseline", args.out)
        print(next_command("robustness", "CONFIG", "CHECKPOINT", *data))
