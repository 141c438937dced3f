"""Convert checkpoint files, all of a file or nothing."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gcp_mm.conversion.conversion import Conversion
from gcp_mm.conversion.convert import convert, restore
from gcp_mm.conversion.source_file import read_source, sha256
from gcp_mm.conversion.verify import TOLERANCE, compare_logits
from gcp_mm.engine.atomic_backend import AtomicLocalBackend
from gcp_mm.errors import CheckpointMismatchError, UserError
from gcp_mm.version import __version__


@dataclass(frozen=True)
class Report:
    """What was done with a file.

    Attributes:
        lines: Sentences for the user.
    """

    lines: tuple[str, ...]

    def __str__(self) -> str:
        """Join the sentences, one to a line."""
        return "\n".join(self.lines)


def convert_file(
    source: str | Path,
    target: str | Path,
    row: str | None = None,
    order: str = "row",
    images: Sequence[str | Path] = (),
    keep_optimizer: bool = False,
    allow_non_finite: bool = False,
    force: bool = False,
    dry_run: bool = False,
) -> Report:
    """Convert a published or torchvision checkpoint to one of mmpretrain.

    ``meta['conversion']`` of the new file says where it comes from. It holds tensors and plain
    data only, and loads with ``torch.load(..., weights_only=True)``.

    Args:
        source: The file to read.
        target: The file to write; the folder is made if needed.
        row: Published row that the weights belong to, such as ``resnet50_gcp_lrnorm``: the
            learning-rate setting is not in the file.
        order: Order of the triangle that the source was trained with, 'row' or 'column'.
        images: Image files; logits before and after are compared on them.
        keep_optimizer: Carry the optimizer's state along for the way back.
        allow_non_finite: Accept NaN or infinity in the weights.
        force: Replace an existing target.
        dry_run: Do everything but write.

    Returns:
        The report.

    Raises:
        UserError: If anything is wrong; nothing is written then.
    """
    _check_target(source, target, force)
    checkpoint = read_source(source)
    conversion = convert(checkpoint, order, keep_optimizer, allow_non_finite)
    architecture = conversion.architecture
    if row is not None and row not in architecture.rows:
        raise CheckpointMismatchError(
            f"--row {row}: the file holds {architecture}, whose published rows are "
            f"{', '.join(architecture.rows) or 'none'}"
        )
    comparisons = compare_logits(conversion, images) if images else []
    # Written this way round, NaN is too large as well.
    if wrong := [c for c in comparisons if not c.difference <= TOLERANCE]:
        raise CheckpointMismatchError(
            f"the logits differ by more than {TOLERANCE:.0e}: "
            f"{'; '.join(map(str, wrong))}. Nothing was written"
        )
    digest = sha256(source)
    if not dry_run:
        provenance = dict(
            source=Path(source).name,
            sha256=digest,
            row=row,
            converter=f"gcp_mm {__version__}",
            dropped=list(conversion.dropped),
            verified=max((c.difference for c in comparisons), default=None),
        )
        _write(conversion.checkpoint(**provenance), target)
    lines = [
        f"{source} (sha256 {digest})",
        f"recognised: {architecture}",
        f"row: {row or _row_hint(conversion)}",
        f"mapped: {len(conversion.state_dict)} tensors, triangle order {order}"
        if architecture.covariance
        else f"mapped: {len(conversion.state_dict)} tensors",
        f"kept: {', '.join([*conversion.layout.details, *_kept(conversion)]) or 'weights only'}",
        f"dropped: {', '.join(conversion.dropped) or 'nothing'}",
        *(f"warning: NaN or infinity in {name}" for name in conversion.not_finite),
        *(f"verified: {comparison}" for comparison in comparisons),
        f"dry run: {target} was not written" if dry_run else f"written: {target}",
    ]
    return Report(tuple(lines))


def restore_file(source: str | Path, target: str | Path, force: bool = False) -> Report:
    """Write the original layout of a converted file back.

    Args:
        source: A file that :func:`convert_file` wrote.
        target: The file to write.
        force: Replace an existing target.

    Returns:
        The report.

    Raises:
        UserError: If anything is wrong; nothing is written then.
    """
    _check_target(source, target, force)
    checkpoint = read_source(source)
    original = restore(checkpoint)
    _write(original, target)
    conversion = checkpoint["meta"]["conversion"]
    lines = [
        f"source of the weights: {conversion.get('source')} (sha256 {conversion.get('sha256')})",
        f"not in the converted file: {', '.join(conversion.get('dropped') or ['nothing'])}",
        f"written: {target}",
    ]
    return Report(tuple(lines))


def _row_hint(conversion: Conversion) -> str:
    rows = conversion.architecture.rows
    if not rows:
        return "none, no published row has this architecture"
    return f"not named (--row with one of {', '.join(rows)} records it)"


def _kept(conversion: Conversion) -> list[str]:
    return ["optimizer"] if conversion.optimizer is not None else []


def _check_target(source: str | Path, target: str | Path, force: bool) -> None:
    """Refuse a target that is the source, a folder, or there already."""
    source, target = Path(source).expanduser(), Path(target).expanduser()
    if source.resolve() == target.resolve():
        raise UserError(f"source and destination are the same file: {str(target)!r}")
    if target.is_dir():
        raise UserError(f"the destination {str(target)!r} is a folder; name a file in it")
    if target.exists() and not force:
        raise UserError(f"the destination {str(target)!r} exists; --force replaces it")


def _write(content: Any, target: str | Path) -> None:
    """Write a file completely or not at all."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path = Path(target).expanduser()
    try:
        AtomicLocalBackend().put(buffer.getvalue(), path)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.with_name(f".{path.name}.part").unlink()
        raise UserError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
