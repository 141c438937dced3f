"""The result of a conversion, and the file that is made of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from gcp_mm.conversion.architecture import Architecture
from gcp_mm.conversion.layout import Layout


@dataclass
class Conversion:
    """Weights in both layouts, and what is needed for the way back.

    Attributes:
        architecture: The recognised network.
        order: Order of the triangle that the source's classifier expects.
        source: Tensors by source name, without prefix, in the spelling of the rules.
        state_dict: The same tensors by mmpretrain's name, in the order of the source.
        layout: The container of the source.
        optimizer: The optimizer's state if it is kept.
        dropped: Names of what was in the source and is left out deliberately.
        not_finite: Names of tensors with NaN or infinity.
    """

    architecture: Architecture
    order: str
    source: dict[str, Tensor]
    state_dict: dict[str, Tensor]
    layout: Layout
    optimizer: Any
    dropped: tuple[str, ...]
    not_finite: tuple[str, ...]

    def checkpoint(self, **provenance: Any) -> dict[str, Any]:
        """Make the content of the new file: tensors and plain data.

        mmengine reads ``state_dict`` and ``meta`` of it; ``legacy`` is for the way back.

        Args:
            **provenance: Further entries of ``meta['conversion']``.
        """
        details = {
            name: value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
            for name, value in self.layout.details.items()
        }
        conversion = {
            "architecture": asdict(self.architecture),
            "triangle_order": self.order,
            **details,
            **provenance,
        }
        legacy = {"layout": asdict(self.layout)}
        if self.optimizer is not None:
            legacy["optimizer"] = self.optimizer
        return {
            "meta": {"conversion": conversion},
            "state_dict": self.state_dict,
            "legacy": legacy,
        }
