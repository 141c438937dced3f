"""A classifier that takes images as they were decoded: it normalises them on its own device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gcp_mm.engine.torch_backends import reproducible_kernels
from gcp_mm.errors import UserError, first_line

#: How convolutions and matrix products compute; published numbers are float32.
DTYPES = ("float32", "tf32", "bfloat16", "float16")


class Classifier:
    """A network of mmpretrain on a device; its own data preprocessor normalises there.

    It computes in one of :data:`DTYPES`; the logits are float32 in any case.
    """

    def __init__(self, network: nn.Module, device: torch.device, dtype: str = "float32") -> None:
        self.network = network.to(device).eval()
        self.device, self.dtype = device, dtype
        self._preprocess = self.network.get_submodule("data_preprocessor")

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Compute the scores (N, classes) float32 of images (N, H, W, 3) uint8, blue first."""
        if self.device.type == "cuda":
            # Else the processor waits for each copy.
            images = images.pin_memory()
        half = getattr(torch, self.dtype) if self.dtype in ("bfloat16", "float16") else None
        try:
            images = images.to(self.device, non_blocking=True)
            with (
                reproducible_kernels(tf32=self.dtype != "float32"),
                torch.autocast(self.device.type, half, enabled=half is not None),
            ):
                planes = images.permute(0, 3, 1, 2).contiguous()
                inputs = self._preprocess({"inputs": planes}, training=False)["inputs"]
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
        """Compute :meth:`logits` of up to ``batch`` images, filled up to this number.

        Kernels depend on the shape of the batch and round differently. With one shape an image has
        the same scores wherever it lies, and counts do not depend on the number of processes.
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
                f"({first_line(error)}); resize them with --input-size"
            ) from error


def ordered_top5(logits: Tensor) -> Tensor:
    """Order the five most likely of 5 or more classes; of tied ones the lower comes first.

    (N, classes) becomes (N, 5) int16 on the same device.
    """
    values, indices = logits.topk(min(6, logits.shape[1]))
    # topk orders ties arbitrarily, and a stable sort of all classes costs far more.
    tied = (values[:, 1:] == values[:, :-1]).any(dim=1)
    if tied.any():
        exact = logits[tied].sort(dim=1, descending=True, stable=True).indices
        indices[tied] = exact[:, : indices.shape[1]]
    return indices[:, :5].to(torch.int16)
