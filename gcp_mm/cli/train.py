"""Train a classifier or a detector from a config."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gcp_mm.console.run_command import run_command
from gcp_mm.engine.config import TRAINING, add_amp_argument, add_common_arguments, load_config


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    add_common_arguments(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        metavar="CHECKPOINT",
        help="continue with CHECKPOINT, or with the latest one of the work folder",
    )
    add_amp_argument(parser)
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate with the batch size",
    )
    args = parser.parse_args(argv)

    def command() -> None:
        cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher, TRAINING)
        from gcp_mm.engine.output import print_after_training
        from gcp_mm.engine.runner import train

        runner = train(cfg, resume=args.resume, amp=args.amp, auto_scale_lr=args.auto_scale_lr)
        print_after_training(runner, args.config, prog)

    run_command(command)
