"""The fixed class table of ImageNet-1k: WordNet id to class index."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType


@cache
def imagenet_wnids() -> tuple[str, ...]:
    """Return the 1000 WordNet ids (``n01440764``, ...) in the order of their class indices.

    The index of a class is its rank among the sorted ids, as in torchvision, timm and mmpretrain.
    The official development kit numbers the classes differently (``ILSVRC2012_ID``, 1 to 1000).
    """
    lines = (files("gcp_mm.datasets") / "imagenet_wnids.txt").read_text().splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


@cache
def wnid_to_index() -> Mapping[str, int]:
    """Return the class index, 0 to 999, of each WordNet id."""
    return MappingProxyType({wnid: index for index, wnid in enumerate(imagenet_wnids())})
