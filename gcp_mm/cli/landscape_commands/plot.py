"""`plot FILE...`: figures of runs, surfaces or spectra, and the numbers of runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.cli.landscape_commands.choices import RECORDS
from gcp_mm.errors import UserError

if TYPE_CHECKING:
    from gcp_mm.landscape.bands import RunBands


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command.

    Args:
        subparsers: Those of the tool.
    """
    parser = subparsers.add_parser(
        "plot",
        help="draw runs, surfaces or spectra",
        description="Draw the bands of loss and of gradient change of several runs and write them "
        "as CSV, or draw results of `surface` or of `curvature`.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="RUN",
        help=f"work folder with {RECORDS}, file of records, or result file (.json); all of a kind",
    )
    parser.add_argument("--out", type=Path, required=True, help="figure, such as figures/landscape")
    parser.add_argument(
        "--formats", nargs="+", default=["png", "pdf"], help="of the figure (default: png pdf)"
    )
    parser.add_argument("--names", nargs="+", help="names in the figure, one for each RUN")
    runs = parser.add_argument_group("bands of runs")
    runs.add_argument("--smooth", type=int, default=1, metavar="N", help="mean over N probes, odd")
    runs.add_argument("--log", action="store_true", help="logarithmic vertical axes")
    runs.add_argument(
        "--zoom", type=float, nargs=2, metavar=("FIRST", "LAST"), help="steps of an inset"
    )
    parser.set_defaults(command=command)


def command(args: argparse.Namespace) -> None:
    """Read the files, draw, and print the mean widths of runs.

    Args:
        args: The parsed command line.

    Raises:
        UserError: If a file is missing or of another kind than the first one.
    """
    paths = [path / RECORDS if path.is_dir() else path for path in args.files]
    if args.names and len(args.names) != len(paths):
        raise UserError(f"{len(args.names)} --names for {len(paths)} files: give one for each")
    if args.out.suffix[1:] in args.formats:
        args.out = args.out.with_suffix("")
    figures = [args.out.with_name(f"{args.out.name}.{suffix}") for suffix in args.formats]
    kinds = {_kind(path) for path in paths}
    unknown = kinds - {"run", "surface", "curvature"}
    if unknown:
        raise UserError(f"no figure is made of files of the kind {sorted(unknown)[0]!r}")
    if len(kinds) > 1:
        raise UserError(f"files of different kinds do not go into one figure: {sorted(kinds)}")
    written = {"run": _runs, "surface": _surfaces, "curvature": _spectra}[kinds.pop()](
        args, paths, figures
    )
    # The last station: the numbers are printed above, and the figure is looked at.
    print(f"results: {', '.join(map(str, written))}")


def _kind(path: Path) -> str:
    """Tell result files from records, which are several JSON objects."""
    if path.is_fifo():
        # It is read twice, and the first time would wait for a writer, which may never come.
        raise UserError(f"{str(path)!r} is a pipe: write it to a file first")
    try:
        return json.loads(path.read_text(encoding="utf-8"))["kind"].replace("header", "run")
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "run"


def _names(args: argparse.Namespace, default: Sequence[str]) -> Sequence[str]:
    return args.names or default


def _configs(paths: Sequence[Path], read: Sequence[tuple[dict, dict]]) -> list[str]:
    """Return the configs that results were made with, or the names of their files."""
    return [
        str(settings.get("config", path.stem))
        for path, (settings, _) in zip(paths, read, strict=True)
    ]


def _runs(args: argparse.Namespace, paths: Sequence[Path], figures: Sequence[Path]) -> list[Path]:
    # Imported here, because they take seconds and --help should not.
    from gcp_mm.landscape.band_table import incomparable, write_csv
    from gcp_mm.landscape.bands import run_bands
    from gcp_mm.landscape.records import read_records
    from gcp_mm.plots.landscape import plot_bands

    read = [read_records(path) for path in paths]
    names = _names(args, [header["run"] for header, _ in read])
    runs = [
        run_bands(name, header["settings"], records)
        for name, (header, records) in zip(names, read, strict=True)
    ]
    for sentence in incomparable(runs):
        print(f"warning: {sentence}. Their widths mean different things", file=sys.stderr)
    written = plot_bands(runs, figures, args.smooth, args.log, args.zoom)
    table = write_csv(runs, args.out.with_name(f"{args.out.name}.csv"))
    for run in runs:
        print(_widths(run, runs[0]))
    return [*written, table]


def _widths(run: RunBands, first: RunBands) -> str:
    from gcp_mm.landscape.band_table import mean_widths

    found = mean_widths(run, first)
    text = (
        f"{run.name}: mean width of the loss band {found['loss_width']:.4g}, of the gradient band "
        f"{found['grad_width']:.4g}, over {found['probes']} probes"
    )
    if found["gaps"]:
        text += f" ({found['gaps']} left out, not finite)"
    if run is not first:
        ratios = f"{found['loss_ratio']:.3f} and {found['grad_ratio']:.3f}"
        text += f"; {ratios} times those of {first.name} at the same steps"
    return text


def _surfaces(
    args: argparse.Namespace, paths: Sequence[Path], figures: Sequence[Path]
) -> list[Path]:
    from gcp_mm.landscape.result_file import read_results
    from gcp_mm.landscape.surface import losses_as_array
    from gcp_mm.plots.landscape import plot_surfaces

    read = [read_results(path, "surface") for path in paths]
    for path, (_, results) in zip(paths, read, strict=True):
        if not {"losses", "alphas", "betas"} <= set(results):
            raise UserError(f"{str(path)!r} has no losses yet; start `surface` again to finish")
    names = _names(args, _configs(paths, read))
    return plot_surfaces(
        [
            {
                "name": name,
                "alphas": results["alphas"],
                "betas": results["betas"],
                "losses": losses_as_array(results),
            }
            for name, (_, results) in zip(names, read, strict=True)
        ],
        figures,
    )


def _spectra(
    args: argparse.Namespace, paths: Sequence[Path], figures: Sequence[Path]
) -> list[Path]:
    from gcp_mm.landscape.result_file import read_results
    from gcp_mm.plots.landscape import plot_spectra

    read = [read_results(path, "curvature") for path in paths]
    for path, (_, results) in zip(paths, read, strict=True):
        if "density" not in results:
            raise UserError(f"{str(path)!r} has no density yet; start `curvature` again to finish")
    names = _names(args, _configs(paths, read))
    return plot_spectra(
        [{"name": name, **results} for name, (_, results) in zip(names, read, strict=True)],
        figures,
    )
