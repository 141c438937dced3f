"""List, describe and download the published models; write their tables into a page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gcp_mm.console.command_names import next_command
from gcp_mm.console.run_command import run_command
from gcp_mm.zoo import find_row, load_rows
from gcp_mm.zoo.rows import CLASSIFICATION, FIELDS, select_rows
from gcp_mm.zoo.tables import describe, list_table, update_readme
from gcp_mm.zoo.weights import default_checkpoint


def _list(args: argparse.Namespace) -> str:
    return list_table(select_rows(load_rows(), **{name: getattr(args, name) for name in FIELDS}))


def _show(args: argparse.Namespace) -> str:
    return describe(find_row(args.row))


def _download(args: argparse.Namespace) -> str:
    from gcp_mm.conversion.convert_file import obtain

    row = find_row(args.row)
    told = obtain(row, args.out, args.from_file, args.url, args.retries)
    if row.task != CLASSIFICATION:
        return told
    target = Path(args.out).expanduser() if args.out else default_checkpoint(row)
    return f"{told}\n{next_command('test', row.typed_config, target)}"


def _readme(args: argparse.Namespace) -> str:
    changed = update_readme(args.path, args.check)
    return f"{args.path}: the tables were {'written' if changed else 'up to date'}"


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line and print what the command gives."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    listing = commands.add_parser("list", help="table of the rows with the published numbers")
    for name in FIELDS:
        listing.add_argument(f"--{name}", help=f"only rows of this {name}")
    listing.set_defaults(work=_list)

    show = commands.add_parser("show", help="everything about one row")
    show.add_argument("row", metavar="ROW", help="for example resnet50_gcp_lrnorm")
    show.set_defaults(work=_show)

    download = commands.add_parser(
        "download", help="fetch the authors' file, check it, convert it to mmpretrain's layout"
    )
    download.add_argument("row", metavar="ROW", help="for example resnet50_gcp_lrnorm")
    download.add_argument("--out", metavar="FILE", help="default: checkpoints/ROW.pth")
    source = download.add_mutually_exclusive_group()
    source.add_argument(
        "--from-file", metavar="FILE", help="the authors' file, fetched by hand (e.g. from Baidu)"
    )
    source.add_argument("--url", help="a mirror of the authors' file, instead of Google Drive")
    download.add_argument(
        "--retries",
        type=int,
        choices=range(21),
        metavar="N",
        default=5,
        help="how often to reconnect, 0 to 20 (default: %(default)s)",
    )
    download.set_defaults(work=_download)

    readme = commands.add_parser("readme", help="write the tables into the page of the zoo")
    readme.add_argument("--path", default="docs/model_zoo.md", help="default: %(default)s")
    readme.add_argument(
        "--check", action="store_true", help="write nothing; fail if a table is out of date"
    )
    readme.set_defaults(work=_readme)

    args = parser.parse_args(argv)
    run_command(lambda: print(args.work(args)))
