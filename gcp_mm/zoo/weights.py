"""``gcp_mm://ROW``: the weights of a row, where this project keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gcp_mm.errors import CheckpointNotFoundError
from gcp_mm.zoo.rows import Row, find_row

SCHEME = "gcp_mm://"


def default_checkpoint(row: Row) -> Path:
    """Return the place of a row's weights, from the working folder: ``checkpoints/<row>.pth``.

    The detection configs look for the weights of their backbones there. ``gcp_mm://ROW`` finds
    ``<row>.safetensors`` there as well.
    """
    return Path("checkpoints") / f"{row.name}.pth"


def load_from_zoo(filename: str, map_location: Any = None) -> Any:
    """Load ``gcp_mm://ROW``, which nothing downloads by itself.

    Args:
        filename: For example ``gcp_mm://resnet50_gcp_lrnorm``.
        map_location: As in ``torch.load``.

    Returns:
        What the file holds.

    Raises:
        UserError: If there is no such row.
        CheckpointNotFoundError: If the file is not there; the message says how to get it.
    """
    # Not above: this module is imported where only the place of the weights is asked for.
    from gcp_mm.engine.checkpoint_loader import load_from_file

    row = find_row(filename.removeprefix(SCHEME))
    path = default_checkpoint(row)
    other = path.with_name(f"{row.name}.safetensors")
    if not path.is_file() and other.is_file():
        path = other
    if not path.is_file():
        raise CheckpointNotFoundError(
            f"there are no weights of {row.name} here: {str(path)!r} does not exist (working "
            f"folder: {Path.cwd()}). Fetch the authors' file with `python tools/model_zoo.py "
            f"download {row.name}`, or give the path of a checkpoint (pretrained='PATH'), or ask "
            "for random weights (pretrained=False)"
        )
    return load_from_file(path, map_location)
