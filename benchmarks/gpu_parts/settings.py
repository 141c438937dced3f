"""What every part is told, in a form that another process can be given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

REPO = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """The arguments of a check.

    Attributes:
        device: 'cuda' or 'cpu'.
        quick: Whether everything is as small as it can be, to see that it runs.
        folder: Where configs, images and logs go.
        rows: The file of the rows.
        bundle: What ``make gpu-bundle`` packed.
        peers: Further layers to time, as ``module:callable``.
    """

    device: str
    quick: bool
    folder: Path
    rows: Path
    bundle: Path
    peers: tuple[str, ...] = ()

    @property
    def torch_device(self) -> torch.device:
        """The device, with an index where it is a GPU."""
        return torch.device("cuda", 0) if self.device == "cuda" else torch.device("cpu")

    @property
    def has_goals(self) -> bool:
        """Whether times are compared with the goals, which are those of a GPU at full size."""
        return self.device == "cuda" and not self.quick

    @property
    def forks(self) -> bool:
        """Whether processes may be forked; see processes.py."""
        return self.device == "cpu" and self.quick

    def size(self, full: int, quick: int) -> int:
        """Choose a number."""
        return quick if self.quick else full
