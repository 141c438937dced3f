"""Backbones that say how much of their pretrained weights they loaded."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModule

from gcp_mm.checkpoints.pretrained import PRETRAINED, load_pretrained_backbone


class PretrainedBackbone(BaseModule):
    """First base class of a backbone, before that of mmpretrain or mmdet.

    ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')`` keeps its meaning,
    but goes through :func:`gcp_mm.checkpoints.pretrained.load_pretrained_backbone`: it reports
    ``loaded N of M tensors`` and fails where mmengine's initialiser would load nothing in silence.
    """

    init_cfg: dict | list[dict] | None

    def init_weights(self) -> None:
        """Initialise the weights as ``init_cfg`` says; a UserError if its file does not fit."""
        given = self.init_cfg
        configs = [given] if isinstance(given, dict) else list(given or [])
        pretrained = [cfg for cfg in configs if cfg["type"] in PRETRAINED]
        try:
            # What is not pretrained comes first: with strict=False it stays for what is missing.
            self.init_cfg = [cfg for cfg in configs if cfg not in pretrained]
            super().init_weights()
        finally:
            self.init_cfg = given
        for cfg in pretrained:
            arguments = {key: value for key, value in cfg.items() if key != "type"}
            self._load_pretrained(**arguments)

    def _load_pretrained(self, checkpoint: str, **kwargs: Any) -> None:
        """Load a file into this backbone, whose tensors have other names in some files."""
        load_pretrained_backbone(self, checkpoint, **kwargs)

    def train(self, mode: bool = True) -> PretrainedBackbone:
        """Switch between training and evaluation; mmdet's ResNet does not return itself."""
        super().train(mode)
        return self
