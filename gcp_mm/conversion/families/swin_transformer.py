"""Swin Transformer (the first version): numbered features in torchvision, stages in mmpretrain."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from gcp_mm.conversion.families.family import Family
from gcp_mm.conversion.name_rules import MERGED_PATCH, POSITION_PAIRS, Rule

_ARCHS = {"swin_t": "tiny", "swin_s": "small", "swin_b": "base"}

# Within a block.
_LAYERS = {
    "norm1": "norm1",
    "attn.qkv": "attn.w_msa.qkv",
    "attn.proj": "attn.w_msa.proj",
    "norm2": "norm2",
    "mlp.0": "ffn.layers.0.0",
    "mlp.3": "ffn.layers.1",
}
_POSITIONS = {"relative_position_bias_table": None, "relative_position_index": POSITION_PAIRS}


def _stage(stage: int) -> Iterator[Rule]:
    """Yield the rules of a stage, and of the layers behind it, which the last has none of."""
    source = f"features.{2 * stage + 1}.{{block}}"
    target = f"backbone.stages.{stage}.blocks.{{block}}"
    for old, new in _LAYERS.items():
        yield Rule(f"{source}.{old}.{{tensor}}", f"{target}.{new}.{{tensor}}")
    for name, form in _POSITIONS.items():
        yield Rule(f"{source}.attn.{name}", f"{target}.attn.w_msa.{name}", form)
    source, target = f"features.{2 * stage + 2}", f"backbone.stages.{stage}.downsample"
    for layer in ("norm", "reduction"):
        yield Rule(f"{source}.{layer}.{{tensor}}", f"{target}.{layer}.{{tensor}}", MERGED_PATCH)


SWIN_TRANSFORMER = Family(
    signature="features.1.0.attn.relative_position_bias_table",
    backbones={
        network: dict(type="SwinTransformer", arch=arch) for network, arch in _ARCHS.items()
    },
    channels={network: 1024 if arch == "base" else 768 for network, arch in _ARCHS.items()},
    rules=(
        Rule("features.0.0.{tensor}", "backbone.patch_embed.projection.{tensor}"),
        Rule("features.0.2.{tensor}", "backbone.patch_embed.norm.{tensor}"),
        *chain.from_iterable(map(_stage, range(4))),
        Rule("norm.{tensor}", "backbone.norm3.{tensor}"),
        Rule("head.{tensor}", "head.fc.{tensor}"),
    ),
    classifier="head",
    head=dict(type="LinearClsHead"),
)
