"""What `surface` and `curvature` share: a checkpoint, fixed images, a file that is continued."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gcp_mm.cli.landscape_commands.choices import SPLITS
from gcp_mm.engine.config import add_common_arguments, load_config
from gcp_mm.errors import UserError
from gcp_mm.files import sha256
from gcp_mm.plain_data import digest

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which images are measured, and where.

    Args:
        parser: The parser of a command.
    """
    parser.add_argument("--split", choices=SPLITS, default="train", help="where images come from")
    parser.add_argument("--batches", type=int, default=1, help="number of batches")
    parser.add_argument("--batch-size", type=int, default=256, help="images in a batch")
    parser.add_argument("--device", default="cpu", help="such as cuda:0")


def check_device(args: argparse.Namespace, command: str) -> torch.device:
    """Return the device that the arguments name.

    Args:
        args: The parsed command line.
        command: Its name, for the messages.

    Raises:
        UserError: If there is no such device, or several processes are asked for.
    """
    if args.launcher != "none":
        raise UserError(f"{command} runs in one process; leave out --launcher {args.launcher}")
    import torch

    try:
        return torch.empty(0, device=args.device).device
    except (RuntimeError, AssertionError) as error:  # an unknown one, or one that is absent
        raise UserError(f"--device {args.device}: {str(error).splitlines()[0]}") from error


def add_measurement_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what is measured on which images.

    Args:
        parser: The parser of a command.
    """
    add_common_arguments(parser)
    parser.add_argument("checkpoint", help="weights to measure around")
    parser.add_argument("--out", type=Path, help="result file (.json); an unfinished one continues")
    add_image_arguments(parser)
    parser.add_argument("--data-seed", type=int, default=0, help="chooses the images")
    parser.add_argument("--seed", type=int, default=0, help="of directions and random vectors")


@dataclass(frozen=True)
class Measurement:
    """A network and images, ready to be measured.

    Attributes:
        model: The classifier.
        batches: Images and classes on its device.
        settings: What the numbers depend on, for the result file.
        out: The result file.
    """

    model: nn.Module
    batches: list[tuple[Tensor, Tensor]]
    settings: dict[str, Any]
    out: Path


def prepare(args: argparse.Namespace, kind: str) -> Measurement:
    """Load what the arguments name.

    Args:
        args: From :func:`add_measurement_arguments`.
        kind: 'surface' or 'curvature'.

    Returns:
        The measurement; its settings hold digests of model, checkpoint and images.

    Raises:
        UserError: If something is missing or does not fit.
    """
    # Imported here, because they take seconds and --help should not.
    from gcp_mm.checkpoints.loader import find_checkpoint
    from gcp_mm.checkpoints.pretrained import load_model
    from gcp_mm.landscape.load import fixed_batches

    device = check_device(args, kind)
    cfg = load_config(args.config, args.cfg_options, args.work_dir, needs=["model"])
    checkpoint = find_checkpoint(args.checkpoint)
    model = load_model(cfg, checkpoint).to(device)
    batches = fixed_batches(cfg, args.batches, args.batch_size, args.data_seed, args.split)
    settings = {
        "config": Path(args.config).stem,
        "model": digest(cfg.model.to_dict()),
        "checkpoint": sha256(checkpoint)[:16],
        "split": args.split,
        "batches": args.batches,
        "batch_size": args.batch_size,
        "data_seed": args.data_seed,
        "images": _digest(b"".join(inputs.numpy().tobytes() for inputs, _ in batches)),
        "seed": args.seed,
    }
    name = f"{kind}_{checkpoint.stem}.json"
    out = args.out or Path(cfg.work_dir) / "landscape" / name
    return Measurement(
        model, [(x.to(device), y.to(device)) for x, y in batches], settings, Path(out)
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
