"""From a recognised architecture to the config of its mmpretrain classifier."""

from __future__ import annotations

from gcp_mm.conversion.architecture import Architecture
from gcp_mm.conversion.families import family_of


def model_config(architecture: Architecture) -> dict:
    """Write the ``model`` of a config for an architecture.

    The configs in configs/imagenet hold the same for the published rows; this also covers other
    widths, depths and numbers of classes.

    Args:
        architecture: What :func:`gcp_mm.conversion.recognise` found.

    Returns:
        Config of an ``ImageClassifier`` whose tensor names are those of the converted checkpoint.
    """
    family = family_of(architecture.network)
    form = family.covariance
    backbone = dict(family.backbones[architecture.network])
    channels = family.channels[architecture.network]
    if architecture.covariance:
        backbone["type"] = form.backbone_type or backbone["type"]
        neck = dict(
            type="gcp_mm.GlobalCovariancePooling",
            in_channels=channels,
            reduced_channels=architecture.reduced_channels,
            act_cfg=dict(type=form.activation),
            **form.neck,
        )
        channels = architecture.vector_length
    else:
        neck = dict(family.neck) if family.neck else None
    head = dict(
        **family.head,
        num_classes=architecture.num_classes,
        in_channels=channels,
        loss=dict(type="CrossEntropyLoss", loss_weight=1.0),
        topk=tuple(k for k in (1, 5) if k <= architecture.num_classes),
    )
    return dict(type="ImageClassifier", backbone=backbone, neck=neck, head=head)
