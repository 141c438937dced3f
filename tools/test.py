"""Evaluate a checkpoint of a classifier or a detector."""

import argparse

from gcp_mm.cli.run_command import run_command
from gcp_mm.engine.config import add_common_arguments, load_config
from gcp_mm.engine.runner import test


def main() -> None:
    """Parse the command line and evaluate."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument("checkpoint", help="weights to evaluate")
    parser.add_argument("--out", metavar="FILE.pkl", help="write the predictions")
    parser.add_argument("--show-dir", metavar="DIR", help="write images with the predictions")
    args = parser.parse_args()

    def command() -> None:
        cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
        test(cfg, args.checkpoint, out=args.out, show_dir=args.show_dir)

    run_command(command)


if __name__ == "__main__":
    main()
