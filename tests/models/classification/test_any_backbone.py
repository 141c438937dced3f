"""The neck behind mmpretrain's ConvNeXt, Swin and ViT."""

import pytest
import torch
from mmpretrain.registry import MODELS
from random_weights import randomise

import gcp_mm.registry  # noqa: F401
from gcp_mm.errors import UserError
from gcp_mm.ops.plain import reference_global_covariance_pool

CHANNELS = 16
NARROW = dict(embed_dims=CHANNELS, num_layers=2, num_heads=2, feedforward_channels=32)
VIT = dict(type="VisionTransformer", arch=NARROW, img_size=32, patch_size=8)
CONVNEXT = dict(type="ConvNeXt", arch=dict(depths=[1, 1, 1, 1], channels=[4, 4, 8, CHANNELS]))
SWIN = dict(
    type="SwinTransformer",
    arch=dict(embed_dims=2, depths=[1, 1, 1, 2], num_heads=[1, 1, 2, 2]),
    window_size=2,
    img_size=64,
)

# Backbone, tokens at the front, and the size of the image with the number of its positions.
BACKBONES = {
    "ConvNeXt": (dict(**CONVNEXT, gap_before_final_norm=False), 0, (64, 96), 6),
    "Swin": (SWIN, 0, (64, 96), 6),
    "ViT map": (dict(**VIT, out_type="featmap"), 0, (32, 32), 16),
    "ViT map of a larger image": (dict(**VIT, out_type="featmap"), 0, (40, 48), 30),
    "ViT tokens": (dict(**VIT, out_type="raw"), 1, (32, 32), 16),
    "ViT tokens without class token": (
        dict(**VIT, out_type="raw", with_cls_token=False),
        *(0, (32, 32), 16),
    ),
}


def network(backbone, num_extra_tokens=0):
    neck = dict(
        type="gcp_mm.GlobalCovariancePooling",
        in_channels=CHANNELS,
        reduced_channels=6,
        num_extra_tokens=num_extra_tokens,
    )
    head = dict(type="LinearClsHead", num_classes=3, in_channels=21)
    model = dict(type="ImageClassifier", backbone=backbone, neck=neck, head=head)
    return randomise(MODELS.build(model)).double().eval()


def reduce(neck, positions):
    """Reduce positions (B, L, C) by a matrix product and the definition of batch norm."""
    norm = neck.reduce.bn
    x = positions @ neck.reduce.conv.weight.flatten(1).T - norm.running_mean
    return (x / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias).relu()


@pytest.mark.parametrize("name", BACKBONES)
def test_classifier_is_backbone_covariance_and_linear_layer(images, worst, name):
    backbone, num_extra_tokens, size, positions = BACKBONES[name]
    model = network(backbone, num_extra_tokens)
    x = images(2, 3, *size).double().requires_grad_()
    features = model.backbone(x)[-1]
    if features.dim() == 4:
        features = features.flatten(2).transpose(1, 2)
    features = features[:, num_extra_tokens:]
    assert features.shape == (2, positions, CHANNELS)
    vector = reference_global_covariance_pool(reduce(model.neck, features).transpose(1, 2), 5)
    expected = vector @ model.head.fc.weight.T + model.head.fc.bias
    found = model(x)
    assert worst(found, expected) < 1e-9
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (found, expected)]
    assert worst(*gradients) < 1e-7


def test_raw_tokens_give_what_the_map_gives(images, worst):
    x = images(2, 3, 32, 32).double()
    raw = network(dict(**VIT, out_type="raw"), num_extra_tokens=1)
    featmap = network(dict(**VIT, out_type="featmap"))
    assert worst(raw(x), featmap(x)) < 1e-12


def test_backbone_that_gives_class_tokens_apart_is_refused_with_the_setting_to_change(images):
    distilled = dict(VIT, type="DistilledVisionTransformer")
    x = images(2, 3, 32, 32).double()
    with pytest.raises(UserError, match="got 2 features of the last stage.*out_type='featmap'"):
        network(distilled)(x)
    assert network(dict(**distilled, out_type="featmap"))(x).shape == (2, 3)


POOLED = {
    "ConvNeXt": (CONVNEXT, "backbone.gap_before_final_norm=False"),
    "ViT": (VIT, "backbone.out_type='featmap'"),
    "mean of ViT": (dict(**VIT, out_type="avg_featmap"), "backbone.out_type='featmap'"),
}


@pytest.mark.parametrize("name", POOLED)
def test_backbone_that_pools_by_itself_is_refused_with_the_setting_to_change(images, name):
    backbone, cure = POOLED[name]
    with pytest.raises(UserError, match=r"shape \(2, 16\), expected \(B, 16, H, W\)") as caught:
        network(backbone)(images(2, 3, 32, 32).double())
    assert cure in str(caught.value)
