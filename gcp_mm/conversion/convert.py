"""From the source layout to mmpretrain's and back, in memory.

With the names goes the order in which the upper triangle of a covariance is read: the columns of
the classifier follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gcp_mm.checkpoints.form import check_form, find_not_finite
from gcp_mm.conversion.conversion import Architecture, Conversion
from gcp_mm.conversion.families import FAMILY_OF, Family
from gcp_mm.conversion.layout import LAYOUT_FORM, Layout, check_plain, unwrap, wrap
from gcp_mm.conversion.name_rules import keep_parameter, translate
from gcp_mm.conversion.recognise import find_family, recognise
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.plain_data import why_unfit

# Upper triangle row by row (the contract of gcp_mm.ops.triu_vec), or column by column.
ORDERS = ("row", "column")

# fast-MPN-COV read the lower triangle row by row, which is the upper one column by column, from its
# first commit (ee8c4a6, 2018-08-12) until e68a5ee (2018-12-26), and the upper one row by row since;
# that it was the upper one from the first commit on, as is said elsewhere, is wrong. Its networks
# that model_urls of src/network/mpncovresnet.py names were trained before the change: with the code
# after it the first one is at 0.17 %, and the author says so of all of them and that he trained
# them again (issue 20, 2020-01-08), after which other files are linked in the README. The digits in
# a name are the beginning of the file's sha256, which torch checked when it fetched the file.
_COLUMN_FILES = {
    "15991845": "mpncovresnet50-15991845.pth",
    "ade9737a": "mpncovresnet101-ade9737a.pth",
}
_ORDER_ISSUE = "https://github.com/jiangtaoxie/fast-MPN-COV/issues/20"


def known_order(name: str, digest: str) -> tuple[str, str | None]:
    """Find the order of the triangle by a file's name and sha256, and why it is not 'row' if not.

    A name of a known file with another digest is refused.
    """
    known = _COLUMN_FILES.get(digest[:8])
    if known:
        return "column", (
            f"order column: this is {known} of fast-MPN-COV, whose classifier probably expects "
            f"the lower triangle row by row ({_ORDER_ISSUE}); "
            "if the result is at chance level, convert it with --order row"
        )
    named = next((file for digits, file in _COLUMN_FILES.items() if digits in name.lower()), None)
    if named:
        raise UserError(
            f"{name!r} has the name of {named} of fast-MPN-COV but another sha256 "
            f"({digest[:8]}...): which order of the triangle its classifier expects is not known "
            f"({_ORDER_ISSUE}). Say it with --order row|column; with the wrong one the result is "
            "at chance level"
        )
    return "row", None


def column_positions(width: int) -> Tensor:
    """Say where each element of the row order is in the column order.

    Element (i, j), i <= j, of the upper triangle is number j (j + 1) / 2 + i when the triangle is
    read column by column, which is the lower triangle row by row.

    Example:
        >>> column_positions(3).tolist()
        [0, 1, 3, 2, 4, 5]
    """
    i, j = torch.triu_indices(width, width)
    return j * (j + 1) // 2 + i


def reorder_classifier(weight: Tensor, width: int, inverse: bool = False) -> Tensor:
    """Permute the columns of a classifier (classes, d (d + 1) / 2) for vectors in row order.

    See https://github.com/jiangtaoxie/fast-MPN-COV/issues/20: with the wrong order a trained
    classifier is at chance level. ``inverse`` goes from row order to column order.
    """
    positions = column_positions(width)
    if inverse:
        positions = positions.argsort()
    return weight.detach().index_select(1, positions)


_INTEGERS = ("num_batches_tracked", "relative_position_index")


def convert(
    checkpoint: Any,
    order: str = "row",
    keep_optimizer: bool = False,
    allow_non_finite: bool = False,
) -> Conversion:
    """Convert a checkpoint of the original scripts or a state dict of torchvision.

    Args:
        checkpoint: What the file holds.
        order: Order of the triangle that its classifier was trained with: 'row' (the upper
            triangle row by row) or 'column' (the upper triangle column by column).
        keep_optimizer: Carry the optimizer's state along, so that the way back gives all of it.
        allow_non_finite: Accept weights with NaN or infinity.

    Returns:
        The conversion.

    Raises:
        UserError: If anything in the file is unknown, missing or has another shape, or if a
            weight is not finite.
    """
    if order not in ORDERS:
        raise UserError(f"the order of the triangle is {order!r}, expected one of {ORDERS}")
    weights, layout = unwrap(checkpoint)
    family = find_family(weights)
    source = {}
    for name, tensor in weights.items():
        spelling = family.spell(name)
        if spelling in source:
            raise UserError(
                f"the file has {spelling!r} twice, also as {name!r}: save the state_dict of one "
                "network alone"
            )
        if spelling != name:
            layout.spellings[spelling] = name
        source[spelling] = tensor
    not_finite = _check_values(source, allow_non_finite)
    architecture = recognise(source)
    optimizer, dropped = None, []
    if layout.entries and "optimizer" in layout.entries:
        if keep_optimizer:
            optimizer = checkpoint["optimizer"]
            check_plain(optimizer, "optimizer")
        else:
            dropped.append("optimizer")
    state_dict = translate(_reordered(source, family, architecture, order), family.rules)
    return Conversion(
        architecture, order, source, state_dict, layout, optimizer, tuple(dropped), not_finite
    )


def restore(checkpoint: Any) -> dict:
    """Write the original layout of a converted checkpoint back: the inverse of :func:`convert`.

    Args:
        checkpoint: What a converted file holds.

    Returns:
        What the source file held, equal in every bit, name, order and type; without the
        optimizer's state unless it was kept.

    Raises:
        UserError: If the file was not written by the converter, or was changed since.
    """
    try:
        conversion = checkpoint["meta"]["conversion"]
        architecture = Architecture(**conversion["architecture"])
        family, order = FAMILY_OF[architecture.network], conversion["triangle_order"]
        layout = Layout(**checkpoint["legacy"]["layout"])
        if fault := why_unfit(vars(layout), LAYOUT_FORM):
            raise TypeError(fault)
        if order not in ORDERS:
            raise TypeError(f"triangle_order is {order!r}")
    except (LookupError, TypeError, AttributeError) as error:
        raise UserError(
            "the file was not written by this converter (no readable meta.conversion and "
            f"legacy.layout: {error}); only a converted file has an original layout"
        ) from error
    state_dict = check_form({"state_dict": checkpoint.get("state_dict")})
    source = translate(state_dict, family.rules, inverse=True)
    found = recognise(source)
    if found != architecture:
        raise UserError(
            f"meta.conversion says {architecture}, but the weights are {found}: the file was "
            "changed after it was converted, convert the original again"
        )
    source = _reordered(source, family, architecture, order, inverse=True)
    source = {layout.spellings.get(name, name): tensor for name, tensor in source.items()}
    return wrap(source, layout, checkpoint["legacy"].get("optimizer"))


def _reordered(
    source: dict[str, Tensor],
    family: Family,
    architecture: Architecture,
    order: str,
    inverse: bool = False,
) -> dict[str, Tensor]:
    """Permute the classifier, if there is one, and its order is not ours."""
    if order == "row":
        return source
    width = architecture.reduced_channels
    if width is None:
        raise UserError(f"--order {order} is for covariance pooling; the file is {architecture}")
    name = f"{family.classifier}.weight"
    if name not in source:
        return source
    old = source[name]
    return {**source, name: keep_parameter(old, reorder_classifier(old, width, inverse))}


def _check_values(source: Mapping[str, Tensor], allow_non_finite: bool) -> tuple[str, ...]:
    """Refuse tensors that are of the wrong kind or not finite."""
    for name, tensor in source.items():
        counter = name.endswith("num_batches_tracked")
        if counter and tensor.numel() != 1:
            raise UserError(f"{name} has shape {tuple(tensor.shape)}, expected one number")
        if tensor.is_floating_point() == name.endswith(_INTEGERS):
            raise UserError(
                f"{name} holds {tensor.dtype}; expected integers in {' and '.join(_INTEGERS)} and "
                "floating-point numbers elsewhere: a quantised network cannot be converted"
            )
    not_finite = tuple(find_not_finite(source, source))
    if not_finite and not allow_non_finite:
        raise UserError(
            f"NaN or infinity in {abbreviate(not_finite)}: the training that wrote the file had "
            "diverged, or the file is damaged. --allow-non-finite converts it anyway"
        )
    return not_finite
