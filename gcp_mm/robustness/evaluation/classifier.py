"""A classifier that takes images as they were decoded: it normalises them on its own device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from gcp_mm.engine.torch_backends import reproducible_kernels
from gcp_mm.errors import UserError


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


#: How convolutions and matrix products compute; published numbers are float32.
DTYPES = ("float32", "tf32", "bfloat16", "float16")


class Classifier:
    """A network of mmpretrain on a device; its own data preprocessor normalises there.

    Args:
        network: The network.
        device: Where to compute.
        dtype: One of :data:`DTYPES`; the logits are float32 in any case.
    """

    def __init__(self, network: nn.Module, device: torch.device, dtype: str = "float32") -> None:
        self.network = network.to(device).eval()
        self.device, self.dtype = device, dtype
        self._normalise = Normaliser(self.network.data_preprocessor, device)

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        half = self.dtype in ("bfloat16", "float16")
        with (
            reproducible_kernels(tf32=self.dtype != "float32"),
            torch.autocast(
                self.device.type, getattr(torch, self.dtype) if half else None, enabled=half
            ),
        ):
            yield

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Compute the scores of all classes.

        Args:
            images: (N, H, W, 3) uint8, channels blue, green, red.

        Returns:
            (N, classes) float32 on the device.

        Raises:
            UserError: If the device has not enough memory.
        """
        if self.device.type == "cuda":
            # Else the processor waits for each copy.
            images = images.pin_memory()
        try:
            images = images.to(self.device, non_blocking=True)
            with self._precision():
                inputs = self._normalise(images)
                scores = self.network(inputs, mode="tensor")
                # Heads that combine several outputs do so in their prediction only.
                if not isinstance(scores, Tensor) or scores.dim() != 2:
                    samples = self.network(inputs, mode="predict")
                    scores = torch.stack([sample.pred_score for sample in samples])
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"{len(images)} images at a time do not fit into the memory of {self.device}: use "
                "a smaller --batch-size; finished cells are kept"
            ) from error
        return scores.float()

    def padded_logits(self, images: Tensor, batch: int) -> Tensor:
        """Compute the scores with a fixed number of images.

        Kernels depend on the shape of the batch and round differently. With one shape an image has
        the same scores wherever it lies, and counts do not depend on the number of processes.

        Args:
            images: (N, H, W, 3) uint8, N up to ``batch``.
            batch: The number of images that the network is given.

        Returns:
            (N, classes) float32 on the device.
        """
        missing = batch - len(images)
        if missing:
            images = torch.cat([images, images.new_zeros(missing, *images.shape[1:])])
        return self.logits(images)[: batch - missing]

    def num_classes(self, size: int) -> int:
        """Return the number of classes that the network gives for images of a size."""
        try:
            return self.logits(torch.zeros(1, size, size, 3, dtype=torch.uint8)).shape[1]
        except (RuntimeError, AssertionError) as error:
            raise UserError(
                f"the network does not take images of {size} x {size} "
                f"({str(error).splitlines()[0]}); resize them with --input-size"
            ) from error


def ordered_top5(logits: Tensor) -> Tensor:
    """Return the five most likely classes in order; of tied classes the lower one comes first.

    Args:
        logits: (N, classes), at least 5 classes.

    Returns:
        (N, 5) int16 on the device of the logits.
    """
    values, indices = logits.topk(min(6, logits.shape[1]))
    # topk orders ties arbitrarily, and a stable sort of all classes costs far more.
    tied = (values[:, 1:] == values[:, :-1]).any(dim=1)
    if tied.any():
        exact = logits[tied].sort(dim=1, descending=True, stable=True).indices
        indices[tied] = exact[:, : indices.shape[1]]
    return indices[:, :5].to(torch.int16)
