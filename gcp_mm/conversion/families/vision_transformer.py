"""Vision Transformer: the layers are the same, their names are not."""

from __future__ import annotations

from gcp_mm.conversion.families.family import Family
from gcp_mm.conversion.name_rules import Rule

_SIZES = {"b": ("base", 768), "l": ("large", 1024)}
_MAX_LAYERS = 24

# Within a layer. torchvision's attention holds queries, keys and values in this order in one
# matrix, as mmpretrain's does.
_TENSORS = {
    "ln_1.{tensor}": "ln1.{tensor}",
    "self_attention.in_proj_weight": "attn.qkv.weight",
    "self_attention.in_proj_bias": "attn.qkv.bias",
    "self_attention.out_proj.{tensor}": "attn.proj.{tensor}",
    "ln_2.{tensor}": "ln2.{tensor}",
    "mlp.0.{tensor}": "ffn.layers.0.0.{tensor}",
    "mlp.3.{tensor}": "ffn.layers.1.{tensor}",
}

VISION_TRANSFORMER = Family(
    signature="class_token",
    backbones={
        f"vit_{size}_{patch}": dict(type="VisionTransformer", arch=arch, patch_size=patch)
        for size, (arch, _) in _SIZES.items()
        for patch in (16, 32)
    },
    channels={
        f"vit_{size}_{patch}": channels
        for size, (_, channels) in _SIZES.items()
        for patch in (16, 32)
    },
    rules=(
        Rule("class_token", "backbone.cls_token"),
        Rule("conv_proj.{tensor}", "backbone.patch_embed.projection.{tensor}"),
        Rule("encoder.pos_embedding", "backbone.pos_embed"),
        *(
            Rule(
                f"encoder.layers.encoder_layer_{{layer}}.{source}",
                f"backbone.layers.{{layer}}.{target}",
            )
            for source, target in _TENSORS.items()
        ),
        Rule("encoder.ln.{tensor}", "backbone.ln1.{tensor}"),
        Rule("heads.head.{tensor}", "head.layers.head.{tensor}"),
    ),
    classifier="heads.head",
    head=dict(type="VisionTransformerClsHead"),
    neck=None,
    # In torchvision's published files, which are older than its present network.
    spellings={
        f"encoder.layers.encoder_layer_{layer}.mlp.{old}.": (
            f"encoder.layers.encoder_layer_{layer}.mlp.{new}."
        )
        for layer in range(_MAX_LAYERS)
        for old, new in (("linear_1", "0"), ("linear_2", "3"))
    },
)
