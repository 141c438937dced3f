"""`run CONFIG`: train with the landscape hook."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.cli.landscape_commands.choices import RECORDS
from gcp_mm.console.command_names import next_command
from gcp_mm.engine.config import TRAINING, add_amp_argument, add_common_arguments, load_config

if TYPE_CHECKING:
    from mmengine.config import Config

HOOK = "gcp_mm.LandscapeHook"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command.

    Args:
        subparsers: Those of the tool.
    """
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
    parser.set_defaults(command=command)


def with_hook(cfg: Config) -> Config:
    """Add the landscape hook to a config that has none.

    Args:
        cfg: A classification config; changed in place.

    Returns:
        The config.
    """
    hooks = cfg.get("custom_hooks") or []
    if not any(hook["type"] in (HOOK, "LandscapeHook") for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type=HOOK)]
    return cfg


def command(args: argparse.Namespace) -> None:
    """Train.

    Args:
        args: The parsed command line.

    Raises:
        UserError: As :func:`gcp_mm.engine.runner.train` and the hook.
    """
    # Imported here, because they take seconds and --help should not.
    from gcp_mm.engine.output import print_results_of_training, shown
    from gcp_mm.engine.runner import train

    cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher, TRAINING)
    runner = train(with_hook(cfg), resume=args.resume, amp=args.amp)
    records = Path(runner.work_dir, RECORDS)
    found = [f"probes in {shown(records)}"] if records.is_file() else []
    if print_results_of_training(runner, *found) and found:
        folder = shown(runner.work_dir)
        out = Path(folder, Path(RECORDS).stem)
        print(next_command("landscape", "plot", folder, "--out", out), flush=True)
