"""Convert checkpoint files from wherever they come, all of a file or nothing."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gcp_mm.checkpoints import hub
from gcp_mm.checkpoints.file_kind import is_safetensors
from gcp_mm.checkpoints.loader import find_checkpoint, load_from_file
from gcp_mm.checkpoints.safetensors_file import safetensors_bytes
from gcp_mm.conversion.convert import convert, known_order, restore
from gcp_mm.conversion.verify import TOLERANCE, compare_logits
from gcp_mm.errors import CheckpointMismatchError, UserError
from gcp_mm.files import atomic_write, check_target, sha256
from gcp_mm.version import __version__
from gcp_mm.zoo.download import check_released_file, download_released
from gcp_mm.zoo.rows import CLASSIFICATION, Row
from gcp_mm.zoo.weights import default_checkpoint


def check_place(source: str | Path, target: str | Path, force: bool) -> None:
    """Refuse a target that is the source, an address, a folder, or there already."""
    if "://" in str(target):
        raise UserError(f"the destination {str(target)!r} is an address; name a file")
    target = Path(target).expanduser()
    with contextlib.suppress(OSError):  # where one of them is not there
        if target.samefile(Path(source).expanduser()):
            raise UserError(f"source and destination are the same file: {str(target)!r}")
    check_target(target, force)


def write_checkpoint(content: Mapping[str, Any], target: str | Path) -> None:
    """Write a checkpoint, as safetensors if the name ends so and with ``torch.save`` otherwise."""
    path = Path(target).expanduser()
    if is_safetensors(path):
        data = safetensors_bytes(content)
    else:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        data = buffer.getvalue()
    atomic_write(path, data, "checkpoint")


@dataclass(frozen=True)
class Report:
    """What was done with a file.

    Attributes:
        lines: Sentences for the user, the last of which says where the result is.
        rows: Published rows with the network of the file, as far as that is known.
        classifier: Whether the weights make a whole classifier, which can be tested.
    """

    lines: tuple[str, ...]
    rows: tuple[str, ...] = ()
    classifier: bool = True

    def __str__(self) -> str:
        """Join the sentences, one to a line."""
        return "\n".join(self.lines)


def convert_file(
    source: str | Path,
    target: str | Path,
    row: str | None = None,
    order: str | None = None,
    images: Sequence[str | Path] = (),
    keep_optimizer: bool = False,
    allow_non_finite: bool = False,
    force: bool = False,
    dry_run: bool = False,
) -> Report:
    """Convert a published or torchvision checkpoint to one of mmpretrain.

    ``meta['conversion']`` of the new file says where it comes from. It holds tensors and plain
    data only: a target whose name ends in ``.safetensors`` is written in that format, any other
    one loads with ``torch.load(..., weights_only=True)``.

    Args:
        source: The file to read, in either format, or an address ``hf://OWNER/NAME/FILE``.
        target: The file to write; the folder is made if needed.
        row: Published row that the weights belong to, such as ``resnet50_gcp_lrnorm``: the
            learning-rate setting is not in the file.
        order: Order of the triangle that the source was trained with, 'row' or 'column'; None for
            what is known of the file, which is 'row' unless it is one of
            :func:`gcp_mm.conversion.convert.known_order`.
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
    check_place(source, target, force)
    path = find_checkpoint(source)
    checkpoint = load_from_file(path, "cpu")
    digest, why = sha256(path), None
    if order is None:
        order, why = known_order(path.name, digest)
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
    if not dry_run:
        provenance = dict(
            source=source if hub.is_address(source) else path.name,
            sha256=digest,
            row=row,
            converter=f"gcp_mm {__version__}",
            dropped=list(conversion.dropped),
            verified=max((c.difference for c in comparisons), default=None),
        )
        write_checkpoint(conversion.checkpoint(**provenance), target)
    hint = "none, no published row has this architecture"
    if architecture.rows:
        hint = f"not named (--row with one of {', '.join(architecture.rows)} records it)"
    kept = [*conversion.layout.details, *["optimizer"] * (conversion.optimizer is not None)]
    lines = [
        f"{source} (sha256 {digest})",
        f"recognised: {architecture}",
        f"row: {row or hint}",
        f"mapped: {len(conversion.state_dict)} tensors, triangle order {order}"
        if architecture.covariance
        else f"mapped: {len(conversion.state_dict)} tensors",
        *([why] if why else []),
        f"kept: {', '.join(kept) or 'weights only'}",
        f"dropped: {', '.join(conversion.dropped) or 'nothing'}",
        *(f"warning: NaN or infinity in {name}" for name in conversion.not_finite),
        *(f"verified: {comparison}" for comparison in comparisons),
        f"dry run: {target} was not written" if dry_run else f"results: {target}",
    ]
    whole = architecture.num_classes is not None
    return Report(tuple(lines), (row,) if row else architecture.rows, whole)


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
    check_place(source, target, force)
    checkpoint = load_from_file(source, "cpu")
    original = restore(checkpoint)
    write_checkpoint(original, target)
    conversion = checkpoint["meta"]["conversion"]
    dropped = conversion.get("dropped")
    dropped = [str(name) for name in dropped] if isinstance(dropped, list | tuple) else []
    lines = [
        f"source of the weights: {conversion.get('source')} (sha256 {conversion.get('sha256')})",
        f"not in the converted file: {', '.join(dropped) or 'nothing'}",
        f"results: {target}",
    ]
    return Report(tuple(lines))


def obtain(
    row: Row,
    out: str | Path | None = None,
    from_file: str | Path | None = None,
    url: str | None = None,
    retries: int = 5,
) -> str:
    """Get the weights of a row: download, check and convert them.

    A detector's file is one of mmdet v1.x: it is fetched and checked, not converted.
    """
    converted = row.task == CLASSIFICATION
    if out is not None and not converted:
        raise UserError(f"--out is where a converted file goes; {row.name} is not converted")
    target = Path(out).expanduser() if out else default_checkpoint(row)
    if converted:
        # Of a file that is there, more is said below.
        check_target(target, force=True)
    if converted and target.exists():
        if from_file is not None:
            raise UserError(f"{str(target)!r} exists: remove it, or name another file with --out")
        told = f"{target} exists already; remove it to get the weights of {row.name} again"
        return f"{told}\nresults: {target}"
    released = row.released
    if from_file is None:
        if url is not None and url.startswith("hf://"):
            raise UserError(f"--url is an http(s) address; --from-file {url} fetches from the hub")
        source = download_released(row, url, retries)
    else:
        source = find_checkpoint(from_file)
    digest = check_released_file(row, source)
    if released.sha256 is None:
        checked = "no sha256 of it had been recorded, so this one is not verified"
    else:
        checked = "as recorded"
    lines = [f"released file: {source}", f"sha256: {digest} ({checked})"]
    if converted:
        return "\n".join([*lines, str(convert_file(source, target, row=row.name))])
    lines.append(
        "It was written by mmdet v1.x: mmdet 3 cannot load it as it is. mmdet has a converter, "
        "tools/model_converters/upgrade_model_version.py; it has not been tried on these files"
    )
    lines.append(f"results: {source}")
    return "\n".join(lines)
