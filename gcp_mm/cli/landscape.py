"""Measure how smooth the loss of a classifier is: train and probe, probe checkpoints, plot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gcp_mm.cli import _landscape_measure as measure
from gcp_mm.console.command_names import next_command
from gcp_mm.console.run_command import run_command
from gcp_mm.engine.config import TRAINING, add_amp_argument, add_common_arguments, load_config
from gcp_mm.errors import UserError

HOOK = dict(type="gcp_mm.LandscapeHook")


def add_run_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "run",
        help="train and probe",
        description="Train a config; its hook, or one with the published settings if it has none, "
        "writes WORK_DIR/landscape.jsonl.",
    )
    add_common_arguments(parser)
    parser.add_argument(
        "--resume", action="store_true", help="continue with the latest checkpoint of the folder"
    )
    add_amp_argument(parser)
    parser.set_defaults(command=train_and_probe)


def train_and_probe(args: argparse.Namespace) -> None:
    """Train."""
    from gcp_mm.engine.output import print_results_of_training, shown
    from gcp_mm.engine.preflight import add_missing_hooks
    from gcp_mm.engine.runner import train

    cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher, TRAINING)
    add_missing_hooks(cfg, [HOOK])
    runner = train(cfg, resume=args.resume, amp=args.amp)
    records = Path(runner.work_dir, measure.RECORDS)
    found = [f"probes in {shown(records)}"] if records.is_file() else []
    if print_results_of_training(runner, *found) and found:
        folder = shown(runner.work_dir)
        out = Path(folder, Path(measure.RECORDS).stem)
        print(next_command("landscape", "plot", folder, "--out", out), flush=True)


def add_probe_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "probe",
        help="probe checkpoints on the same images",
        description="Measure loss and gradient along the gradient for each checkpoint, on images "
        "without augmentation. Started again, it measures only what the file lacks.",
    )
    add_common_arguments(parser)
    parser.add_argument("checkpoints", nargs="+", help="files, in the order of training")
    parser.add_argument("--out", help="records (default WORK_DIR/landscape/probe.jsonl)")
    parser.add_argument("--at", help="module whose output is moved (default: end of the stem)")
    parser.add_argument(
        "--etas",
        type=float,
        nargs=3,
        metavar=("FROM", "TO", "NUMBER"),
        help="steps (default: the 50 published ones of the backbone)",
    )
    parser.add_argument("--direction", choices=measure.DIRECTIONS, default="ascent")
    parser.add_argument(
        "--batch-norm",
        choices=measure.BATCH_NORMS,
        default="batch",
        help="statistics (default: batch)",
    )
    parser.add_argument(
        "--rescale",
        type=int,
        nargs="?",
        const=True,
        default=False,
        metavar="B_REF",
        help="multiply the steps by batch size / B_REF (default: the published batch)",
    )
    measure.add_image_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the choice of the images")
    parser.set_defaults(command=probe_files)


def probe_files(args: argparse.Namespace) -> None:
    """Probe the checkpoints that the file lacks; each measurement is written when it is done."""
    from gcp_mm.landscape.offline import probe_checkpoints

    device = measure.check_device(args, "probe")
    cfg = load_config(args.config, args.cfg_options, args.work_dir, needs=["model"])
    etas = None
    if args.etas:
        if not args.etas[2].is_integer():
            raise UserError(f"--etas: the number of steps is {args.etas[2]}, not a whole number")
        etas = dict(start=args.etas[0], stop=args.etas[1], num=int(args.etas[2]))
    out = Path(args.out or Path(cfg.work_dir) / "landscape" / "probe.jsonl")
    records = probe_checkpoints(
        cfg,
        args.checkpoints,
        out,
        num_batches=args.batches,
        batch_size=args.batch_size,
        split=args.split,
        seed=args.seed,
        device=device,
        at=args.at,
        etas=etas,
        direction=args.direction,
        batch_norm=args.batch_norm,
        rescale=args.rescale,
    )
    for record in records:
        print(
            f"{record['checkpoint']}, batch {record['batch']}: loss {record['loss']:.4f}, "
            f"{min(record['losses']):.4f} to {max(record['losses']):.4f} along the gradient, whose "
            f"change is at most {max(record['grad_diffs']):.4g}"
        )
    print(f"results: {out}")
    print(next_command("landscape", "plot", out, "--out", out.with_suffix("")))


def add_plot_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "plot",
        help="draw runs, surfaces or spectra",
        description="Draw the bands of loss and of gradient change of several runs and write them "
        "as CSV, or draw results of `surface` or of `curvature`; with a page (.html) that has the "
        "figure, tables and all numbers.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="RUN",
        help=f"work folder with {measure.RECORDS}, file of records, or result file (.json); all of "
        "a kind",
    )
    parser.add_argument("--out", type=Path, required=True, help="figure, such as figures/landscape")
    parser.add_argument(
        "--formats", nargs="+", default=["png", "pdf"], help="of the figure (default: png pdf)"
    )
    parser.add_argument("--names", nargs="+", help="names in the figure, one for each RUN")
    runs = parser.add_argument_group("bands of runs", argument_default=argparse.SUPPRESS)
    runs.add_argument("--smooth", type=int, metavar="N", help="mean over N probes, odd")
    runs.add_argument(
        "--log", action="store_true", default=argparse.SUPPRESS, help="logarithmic vertical axes"
    )
    runs.add_argument(
        "--zoom", type=float, nargs=2, metavar=("FIRST", "LAST"), help="steps of an inset"
    )
    parser.set_defaults(command=draw)


def draw(args: argparse.Namespace) -> None:
    """Draw the files, and print the mean widths of runs."""
    from gcp_mm.landscape.report import make_report

    of_bands = {name: vars(args)[name] for name in ("smooth", "log", "zoom") if name in args}
    report = make_report(args.files, args.names, **of_bands)
    for sentence in report.warnings:
        print(f"warning: {sentence}", file=sys.stderr)
    written = report.write(args.out, args.formats)
    for index, found in enumerate(report.widths):
        print(_said_of(found, report.runs[0].name if index else None))
    # The last station: the numbers are printed above, and the figure is looked at.
    print(f"results: {', '.join(map(str, written))}")


def _said_of(found: Mapping[str, Any], first: str | None) -> str:
    """Say how wide the bands of a run are, against those of the first one."""
    text = (
        f"{found['run']}: mean width of the loss band {found['loss_width']:.4g}, of the gradient "
        f"band {found['grad_width']:.4g}, over {found['probes']} probes"
    )
    if found["gaps"]:
        text += f" ({found['gaps']} left out, not finite)"
    ratios = [found["loss_ratio"], found["grad_ratio"]]
    if first is not None and None not in ratios:
        text += f"; {ratios[0]:.3f} and {ratios[1]:.3f} times those of {first} at the same steps"
    return text


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line and run one command."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for add_parser in (
        add_run_parser,
        add_probe_parser,
        add_plot_parser,
        measure.add_surface_parser,
        measure.add_curvature_parser,
    ):
        add_parser(subparsers)
    args = parser.parse_args(argv)
    run_command(lambda: args.command(args))
