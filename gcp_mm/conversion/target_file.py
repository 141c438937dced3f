"""The file that a checkpoint is written to, completely or not at all."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gcp_mm.checkpoints import hub
from gcp_mm.checkpoints.file_kind import is_safetensors
from gcp_mm.checkpoints.safetensors_file import safetensors_bytes
from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write


def check_target(source: str | Path, target: str | Path, force: bool) -> None:
    """Refuse a target that is the source, an address, a folder, or there already.

    Args:
        source: What is read, a path or an address.
        target: What is about to be written.
        force: Accept one that is there.

    Raises:
        UserError: If it is refused.
    """
    if "://" in str(target):
        raise UserError(f"the destination {str(target)!r} is an address; name a file")
    target = Path(target).expanduser()
    if not hub.is_address(source) and Path(source).expanduser().resolve() == target.resolve():
        raise UserError(f"source and destination are the same file: {str(target)!r}")
    if target.is_dir():
        raise UserError(f"the destination {str(target)!r} is a folder; name a file in it")
    if target.exists() and not force:
        raise UserError(f"the destination {str(target)!r} exists; --force replaces it")


def write_checkpoint(content: Mapping[str, Any], target: str | Path) -> None:
    """Write a checkpoint, as safetensors if the name ends so and with ``torch.save`` otherwise.

    Args:
        content: Tensors and plain data.
        target: The file; its folder is made if needed.

    Raises:
        UserError: If it cannot be written; an existing file stays as it is then.
    """
    path = Path(target).expanduser()
    if is_safetensors(path):
        data = safetensors_bytes(content)
    else:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        data = buffer.getvalue()
    atomic_write(path, data, "checkpoint")
