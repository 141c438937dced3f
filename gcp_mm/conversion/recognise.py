"""Recognise a network by the names and shapes of its tensors, and write its config."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from gcp_mm.checkpoints.coverage import compare
from gcp_mm.conversion.conversion import Architecture
from gcp_mm.conversion.families import FAMILIES, FAMILY_OF, Family
from gcp_mm.conversion.layout import CONVERTED
from gcp_mm.conversion.plain_networks import plain_tensors
from gcp_mm.errors import CheckpointMismatchError, UserError
from gcp_mm.files import abbreviate


def find_family(state_dict: Mapping[str, Tensor]) -> Family:
    """Find the family whose signature is among the names."""
    found = [family for family in FAMILIES if family.signature in state_dict]
    if len(found) == 1:
        return found[0]
    if any(name.startswith("backbone.") for name in state_dict):
        raise UserError(
            "the names begin with 'backbone.': the file is already in the layout of mmpretrain; "
            + CONVERTED
        )
    if found:
        both = " and ".join(repr(family.signature) for family in found)
        raise UserError(f"the file mixes several networks: it has {both}; take it apart first")
    known = ", ".join(network for family in FAMILIES for network in family.backbones)
    raise UserError(
        f"the network is not recognised. The file begins with {abbreviate(state_dict)}; the "
        f"converter knows {known}, plain or with covariance pooling"
    )


def recognise(state_dict: Mapping[str, Tensor]) -> Architecture:
    """Find the architecture whose tensors are exactly those of a file.

    ``num_batches_tracked`` may be absent, as in files that were written before torch 0.4.1.

    Args:
        state_dict: Tensors by source name, without the prefix of DataParallel.

    Returns:
        The architecture.

    Raises:
        UserError: If no family, or more than one, has tensors of these names.
        CheckpointMismatchError: If a tensor is missing, unknown or has another shape; the message
            compares the file with the nearest network.
    """
    family = find_family(state_dict)
    coverages = {}
    for network in family.backbones:
        architecture = _with_sizes_of(state_dict, family, network)
        coverages[architecture] = compare(plain_tensors(architecture), state_dict)
    nearest, coverage = min(coverages.items(), key=lambda item: item[1].differences)
    if coverage.differences:
        raise CheckpointMismatchError(
            f"the file holds no known network. The nearest is {nearest}, but {coverage.details()}. "
            "Nothing is left out or guessed: use a complete file of the unchanged network, or add "
            "the network to gcp_mm/conversion/families"
        )
    return nearest


def _with_sizes_of(state_dict: Mapping[str, Tensor], family: Family, network: str) -> Architecture:
    """Read the number of classes and of reduced channels from the last layers."""
    width = method = None
    if form := family.covariance:
        width = _outputs(state_dict, f"{form.reduce[0]}.weight")
        if width is not None and form.dropcov and f"{form.dropcov}.weight" in state_dict:
            method = "dropcov"
    classes = _outputs(state_dict, f"{family.classifier}.weight")
    if classes is None and any(name.startswith(f"{family.classifier}.") for name in state_dict):
        classes = 1000
    return Architecture(network, classes, width, method)


def _outputs(state_dict: Mapping[str, Tensor], name: str) -> int | None:
    """Number of outputs of a layer, None if it is not there."""
    return state_dict[name].shape[0] if name in state_dict and state_dict[name].dim() else None


def model_config(architecture: Architecture) -> dict:
    """Write the ``model`` of a config for an architecture.

    The configs in configs/imagenet hold the same for the published rows; this also covers other
    widths, depths and numbers of classes.

    Args:
        architecture: What :func:`gcp_mm.conversion.recognise` found.

    Returns:
        Config of an ``ImageClassifier`` whose tensor names are those of the converted checkpoint;
        without a head if there is no classifier.
    """
    family = FAMILY_OF[architecture.network]
    form = family.covariance
    backbone = dict(family.backbones[architecture.network])
    channels = family.channels[architecture.network]
    neck = dict(family.neck) if family.neck else None
    if form is not None and architecture.covariance:
        backbone["type"] = form.backbone_type or backbone["type"]
        neck = dict(
            type="gcp_mm.GlobalCovariancePooling",
            in_channels=channels,
            reduced_channels=architecture.reduced_channels,
            act_cfg=dict(type=form.activation),
            **form.neck,
        )
        if architecture.method is not None:
            neck["method"] = architecture.method
        channels = architecture.vector_length
    model = dict(type="ImageClassifier", backbone=backbone, neck=neck, head=None)
    if architecture.num_classes is None:
        return model
    model["head"] = dict(
        **family.head,
        num_classes=architecture.num_classes,
        in_channels=channels,
        loss=dict(type="CrossEntropyLoss", loss_weight=1.0),
        topk=tuple(k for k in (1, 5) if k <= architecture.num_classes),
    )
    return model
