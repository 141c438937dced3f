"""The weights of a trained checkpoint in a file of their own, to publish them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from gcp_mm.checkpoints import hub
from gcp_mm.checkpoints.coverage import weights_of, wrapper_prefix
from gcp_mm.checkpoints.form import check_form, find_not_finite
from gcp_mm.checkpoints.loader import find_checkpoint, load_from_file
from gcp_mm.conversion.convert_file import Report, check_place, write_checkpoint
from gcp_mm.conversion.layout import check_plain
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, sha256
from gcp_mm.plain_data import part_of
from gcp_mm.version import __version__


def extract_weights(
    source: str | Path,
    target: str | Path,
    allow_non_finite: bool = False,
    force: bool = False,
    dry_run: bool = False,
) -> Report:
    """Write ``state_dict`` and ``meta`` of a checkpoint, under the names that they have.

    Optimizer, schedules and logs stay behind, so that no training continues from the new file. A
    converted file keeps its way back. A bare state dict stays one.

    Args:
        source: A checkpoint of mmengine, of a classifier or a detector, a converted file or a
            state dict, in either format; or an address ``hf://OWNER/NAME/FILE``.
        target: The file to write, ``.safetensors`` or ``.pth``.
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
    wrapped = isinstance(checkpoint, Mapping) and "state_dict" in checkpoint
    # What stands beside the weights may have any form: it is looked at below, or left behind.
    weights = check_form({"state_dict": checkpoint["state_dict"]} if wrapped else checkpoint, path)
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    not_finite = find_not_finite(tensors, tensors)
    if not_finite and not allow_non_finite:
        raise UserError(
            f"NaN or infinity in {abbreviate(not_finite)} of {str(path)!r}: use a checkpoint from "
            "before the training diverged. --allow-non-finite writes it anyway"
        )
    digest = sha256(path)
    content: Mapping[str, Any] = weights
    dropped: list[str] = []
    names = "names as they are"
    if wrapped:
        name = source if hub.is_address(source) else path.name
        origin = dict(source=name, sha256=digest, writer=f"gcp_mm {__version__}")
        meta, dropped = _plain(part_of(checkpoint, "meta"))
        parts: dict[str, Any] = {"meta": {**meta, "weights_of": origin}, "state_dict": weights}
        legacy = part_of(checkpoint, "legacy")
        if "layout" in legacy:
            parts["legacy"] = {"layout": legacy["layout"]}
            dropped += [f"legacy.{key}" for key in legacy if key != "layout"]
        elif prefix := wrapper_prefix(weights):
            # A FlexibleRunner saves the names of the model that is wrapped for several processes.
            parts["state_dict"], names = weights_of(weights), f"names without {prefix!r}"
        dropped += [str(key) for key in checkpoint if key not in parts]
        content = parts
    if not dry_run:
        write_checkpoint(content, target)
    return Report(
        (
            f"{source} (sha256 {digest})",
            f"weights: {len(tensors)} tensors, {sum(t.numel() for t in tensors.values())} numbers",
            f"kept: {'meta, ' * ('meta' in content)}{names}",
            f"dropped: {', '.join(dropped) or 'nothing'}",
            *(f"warning: NaN or infinity in {name}" for name in not_finite),
            f"dry run: {target} was not written" if dry_run else f"results: {target}",
        )
    )


def _plain(meta: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Divide ``meta`` into what every reader can load and the names of what is left out."""
    plain, dropped = {}, []
    for name, value in meta.items():
        try:
            check_plain({name: value})
            plain[name] = value
        except UserError:
            dropped.append(f"meta.{name}")
    return plain, dropped
