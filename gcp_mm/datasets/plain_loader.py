"""Say when the loader of a user's own pipeline sees other pixels than the tools of this package."""

from __future__ import annotations

import logging

import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.logging import print_log

from gcp_mm.errors import UserError
from gcp_mm.images.read_image import describe_error, is_ordinary, open_image, read_image
from gcp_mm.images.shared_flags import SharedFlags

# Mean difference in levels that no choice of a JPEG decoder or of a CMYK formula explains.
_DIFFERENT = 8


class PlainLoaderCheck:
    """Compares mmcv's ``LoadImageFromFile`` with ``gcp_mm.LoadImage`` on files of unusual kinds.

    Args:
        load: First transform of the pipeline; another one than mmcv's is not looked at.
        size: Samples of the data set. A header is opened once for each until something was said.
    """

    def __init__(self, load: BaseTransform | None, size: int) -> None:
        self._load = load if isinstance(load, LoadImageFromFile) else None
        self._seen, self._said = SharedFlags(size), SharedFlags(1)

    @property
    def is_open(self) -> bool:
        """Whether there may be something to say."""
        return self._load is not None and not self._said.indices()

    def __call__(self, index: int, path: str) -> None:
        """Look at a file that has been loaded."""
        if not self.is_open or not self._seen.set(index):
            return
        try:
            with open_image(path) as image:
                if is_ordinary(image):
                    return
                kind = f"{image.format}, mode {image.mode}"
        except (OSError, ValueError):
            # Of a remote file, or one that other decoders read.
            return
        if (difference := self._difference(path)) and self._said.set(0):
            print_log(
                f"LoadImageFromFile reads {path!r} ({kind}) otherwise than gcp_mm.LoadImage, with "
                f"which the tools for robustness and export read images: {difference}. Use "
                "dict(type='gcp_mm.LoadImage') as the first transform of every pipeline (said "
                "once, there may be more of the kind)",
                logger="current",
                level=logging.WARNING,
            )

    def _difference(self, path: str) -> str | None:
        theirs = self._load({"img_path": path})["img"]
        ignored = self._load.color_type.endswith("ignore_orientation")
        try:
            ours = read_image(path, ignore_orientation=ignored, order="bgr")
        except UserError as error:
            return f"it refuses the file ({describe_error(error)})"
        if theirs.shape != ours.shape:
            return f"shape {theirs.shape} and {ours.shape}"
        levels = np.abs(theirs.astype(float) - ours).mean()
        return f"{levels:.0f} levels of 255 apart on average" if levels > _DIFFERENT else None
