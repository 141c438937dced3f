"""What a network's data preprocessor does to images, fast on a CPU too."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn


class Normaliser:
    """Prepares images for a network, with the very numbers of its data preprocessor.

    mmpretrain's ``ClsDataPreprocessor`` treats each pixel alone: it has 256 values for a channel.
    On a CPU they are looked up and written into memory that is used again, where the preprocessor
    makes a temporary tensor of the whole batch at each of its steps. Another preprocessor, or one
    that pads, is called, and so is any on a GPU.

    Args:
        preprocessor: Of the network.
        device: Of the network.
    """

    def __init__(self, preprocessor: nn.Module, device: torch.device) -> None:
        self.preprocessor = preprocessor
        self._tables = _tables(preprocessor) if device.type == "cpu" else None
        self._planes = self._out = np.empty(0)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise images.

        Args:
            images: (N, H, W, 3) uint8 on the device, channels blue, green, red.

        Returns:
            (N, 3, H, W), what the preprocessor returns. The next call may overwrite it.
        """
        if self._tables is None:
            return self._call(images.permute(0, 3, 1, 2).contiguous())
        number, *sides, channels = images.shape
        if self._out.shape[1:] != (channels, *sides) or len(self._out) < number:
            self._planes = np.empty((channels, *sides), np.uint8)
            self._out = np.empty((number, channels, *sides), np.float32)
        planes = list(self._planes)
        if self.preprocessor.to_rgb:
            planes.reverse()
        for image, out in zip(images.numpy(), self._out, strict=False):
            cv2.split(image, list(self._planes))
            for plane, table, channel in zip(planes, self._tables, out, strict=True):
                cv2.LUT(plane, table, dst=channel)
        return torch.from_numpy(self._out[:number])

    def _call(self, images: Tensor) -> Tensor:
        return self.preprocessor({"inputs": images}, training=False)["inputs"]


def _tables(preprocessor: nn.Module) -> list[np.ndarray] | None:
    """Return what the 256 values of each channel of the output become; None if more counts."""
    from mmpretrain.models import ClsDataPreprocessor

    if type(preprocessor) is not ClsDataPreprocessor or preprocessor.pad_size_divisor > 1:
        return None
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    tables = preprocessor({"inputs": values}, training=False)["inputs"].reshape(3, 256)
    return list(tables.numpy()) if tables.dtype == torch.float32 else None
