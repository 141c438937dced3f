"""`report FILE...`: tables, CSV and figures of one or several networks."""

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
        "report",
        help="tables, CSV and figures; compares networks",
        description="Write report.md, report.csv and figures of result files. Files of one name "
        "on ImageNet-C and on ImageNet-P become one row.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="RESULT", help="result files")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder to write (default: 'report' beside the first RESULT)",
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        default=["png", "pdf"],
        metavar="F",
        help="of the figures: png, pdf, svg (default: png pdf)",
    )
    parser.add_argument("--names", nargs="+", help="names in the report, one for each RESULT")
    parser.add_argument(
        "--published",
        nargs="+",
        default=[],
        metavar="ROW",
        help="published rows beside them: 'all' or names such as resnet50_gcp_lrnorm, "
        "torchvision_resnet50",
    )
    parser.set_defaults(command=command)


def command(args: argparse.Namespace) -> None:
    """Write the report and print its first table.

    Args:
        args: The parsed command line.

    Raises:
        UserError: If a file cannot be read or written, or results do not go together.
    """
    # Imported here, because they take seconds and --help should not.
    from gcp_mm.robustness.report import read_models, write_report
    from gcp_mm.robustness.report.tables import overview
    from gcp_mm.zoo.robustness import find_robustness

    models = read_models(args.files, args.names)
    published = find_robustness(args.published)
    folder = args.out or args.files[0].parent / "report"
    written = write_report(models, folder, published, args.formats)
    print(overview(models, published))
    print(f"results: {', '.join(map(str, written))}")
    if not args.published:
        # Into the same folder, under the same names.
        out = ("--out", args.out) if args.out else ()
        names = ("--names", *args.names) if args.names else ()
        print(next_command("robustness", "report", *args.files, *out, *names, "--published", "all"))
