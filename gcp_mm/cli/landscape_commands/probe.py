"""`probe CONFIG CKPT...`: the probe of the hook, on fixed images."""

from __future__ import annotations

import argparse
from pathlib import Path

from gcp_mm.cli.landscape_commands.choices import BATCH_NORMS, DIRECTIONS
from gcp_mm.cli.landscape_commands.measurement import add_image_arguments, check_device
from gcp_mm.console.command_names import next_command
from gcp_mm.engine.config import add_common_arguments, load_config


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command.

    Args:
        subparsers: Those of the tool.
    """
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
    parser.add_argument("--direction", choices=DIRECTIONS, default="ascent")
    parser.add_argument(
        "--batch-norm", choices=BATCH_NORMS, default="batch", help="statistics (default: batch)"
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
    add_image_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the choice of the images")
    parser.set_defaults(command=command)


def command(args: argparse.Namespace) -> None:
    """Probe the checkpoints that the file lacks; each measurement is written when it is done.

    Args:
        args: The parsed command line.

    Raises:
        UserError: If something is missing, does not fit, or belongs to another measurement.
    """
    # Imported here, because they take seconds and --help should not.
    from gcp_mm.landscape.offline import probe_checkpoints

    check_device(args, "probe")
    cfg = load_config(args.config, args.cfg_options, args.work_dir, needs=["model"])
    etas = None
    if args.etas:
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
        device=args.device,
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
