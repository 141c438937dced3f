"""Images on which the exported function is compared with the network, and their size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from gcp_mm.engine.config import tested_dataset
from gcp_mm.engine.preflight import name_of
from gcp_mm.errors import UserError
from gcp_mm.images.read_image import ImageReadError, describe_error

# Two sizes that no pipeline gives both unless it makes every image one size.
_BLANK = ((320, 480), (500, 360))


def _pipeline(cfg: Config) -> list[dict]:
    """Take the test pipeline of a config, of the data set inside of wrappers."""
    dataset = tested_dataset(cfg)
    if "pipeline" not in dataset:
        raise UserError("the config has no test_dataloader.dataset.pipeline to prepare images with")
    return list(dataset["pipeline"])


def _run(transforms: list[dict], sample: dict) -> Tensor:
    """Run a pipeline and return the image that it packs, (3, H, W)."""
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        return Compose(transforms)(sample)["inputs"]


def size_of_test_images(cfg: Config) -> tuple[int, int]:
    """Find the size that the test pipeline gives every image."""
    # The images are made here, so there is nothing to load.
    transforms = [step for step in _pipeline(cfg) if "LoadImage" not in name_of(step)]
    made = [_run(transforms, {"img": np.zeros((*size, 3), np.uint8)}) for size in _BLANK]
    height, width = made[0].shape[-2:]
    if any(image.shape[-2:] != (height, width) for image in made):
        raise UserError(
            "the test pipeline of this config does not bring images to one size, and an exported "
            "network has a fixed one: choose it with --input-size HEIGHT WIDTH"
        )
    return height, width


def prepare_image(cfg: Config, path: str | Path, network: nn.Module, normalise: bool) -> Tensor:
    """Read and prepare an image as for evaluation, as float32 (1, 3, H, W).

    The test pipeline of the config prepares it; the network's data preprocessor orders the channels
    and, with ``normalise``, subtracts the mean and divides by the deviation.
    """
    try:
        image = _run(_pipeline(cfg), {"img_path": str(path)})
    except Exception as error:  # decoders and transforms raise dozens of types
        if isinstance(error, UserError) and not isinstance(error, ImageReadError):
            raise
        raise UserError(
            f"--image: {str(path)!r} cannot be read: {describe_error(error)}"
        ) from error
    if normalise:
        return network.get_submodule("data_preprocessor")({"inputs": image[None]})["inputs"]
    return (image.flip(0) if swaps_channels(network) else image)[None].float()


def swaps_channels(network: nn.Module) -> bool:
    """Say whether the network takes RGB, where the pipelines of mmcv give BGR."""
    return bool(getattr(network.data_preprocessor, "to_rgb", False))


def fit(image: Tensor, size: Sequence[int]) -> Tensor:
    """Bring images (B, 3, H, W) to the size of the exported network, if they have another."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return nn.functional.interpolate(image, tuple(size), mode="bilinear", antialias=True)


def random_images(batch: int, size: Sequence[int], pixels: bool) -> Tensor:
    """Draw float32 images (B, 3, H, W) that are the same in every run.

    ``pixels`` asks for whole numbers from 0 to 255 in place of standard normal ones.
    """
    generator = torch.Generator().manual_seed(batch)
    shape = (batch, 3, *size)
    if pixels:
        return torch.randint(256, shape, generator=generator).float()
    return torch.randn(shape, generator=generator)
