"""Evaluate a checkpoint of a classifier or a detector."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gcp_mm.console.run_command import run_command
from gcp_mm.engine.config import EVALUATION, add_common_arguments, load_config


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line and evaluate."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    add_common_arguments(parser)
    parser.add_argument("checkpoint", help="weights to evaluate")
    parser.add_argument("--out", metavar="FILE.pkl", help="write the predictions")
    parser.add_argument("--show-dir", metavar="DIR", help="write images with the predictions")
    args = parser.parse_args(argv)

    def command() -> None:
        cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher, EVALUATION)
        from gcp_mm.engine.output import print_after_test
        from gcp_mm.engine.runner import test

        metrics = test(cfg, args.checkpoint, out=args.out, show_dir=args.show_dir)
        print_after_test(cfg, args.config, args.checkpoint, metrics, args.out, args.show_dir, prog)

    run_command(command)
