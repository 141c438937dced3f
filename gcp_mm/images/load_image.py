"""The transform with which pipelines read images."""

from __future__ import annotations

import logging
from pathlib import Path

from mmcv.transforms import BaseTransform
from mmengine.fileio import get
from mmengine.logging import print_log

from gcp_mm.errors import UserError
from gcp_mm.images.read_image import BACKENDS, REMARKS, read_image
from gcp_mm.images.shared_flags import SharedFlags
from gcp_mm.registry import TRANSFORMS

_KINDS = list(REMARKS)


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read an image as :func:`gcp_mm.images.read_image.read_image` defines it.

    In place of mmcv's ``LoadImageFromFile``, of whose decoders Pillow turns 16-bit files white, and
    both differ on CMYK and transparency. An image that is in memory already, as the inferencers
    hand it on, is taken as it is if there is no ``img_path``.

    Required keys: ``img_path`` or ``img``. Added: ``img`` ((H, W, 3) uint8, blue first),
    ``img_shape``, ``ori_shape``.

    Args:
        imdecode_backend: 'pillow', or 'cv2', which is faster for ordinary JPEG files and gives the
            same pixels.
        ignore_orientation: Do not turn the image as its orientation tag says, as for published
            ImageNet numbers.
        check_size: Refuse JPEG files whose data do not fill the size in their header, as after a
            flipped bit; 'cv2' does not look at it. Defaults to True.
        to_float32: Convert the pixels. Defaults to False.
        backend_args: Of mmengine's file backend, for images that are not on a disk.

    Raises:
        UserError: If the backend is another one.
    """

    def __init__(
        self,
        imdecode_backend: str = "pillow",
        ignore_orientation: bool = False,
        check_size: bool = True,
        to_float32: bool = False,
        backend_args: dict | None = None,
    ) -> None:
        if imdecode_backend not in BACKENDS:
            raise UserError(
                f"gcp_mm.LoadImage: imdecode_backend={imdecode_backend!r} is none of "
                f"{', '.join(BACKENDS)}. For mmcv's others use type='LoadImageFromFile'"
            )
        self.imdecode_backend, self.ignore_orientation = imdecode_backend, ignore_orientation
        self.check_size = check_size
        self.to_float32, self.backend_args = to_float32, backend_args
        self._said = SharedFlags(len(_KINDS))

    def transform(self, results: dict) -> dict:
        """Read the image of a sample."""
        path = results.get("img_path")
        if path is not None:
            remote = self.backend_args is not None or "://" in str(path)
            results["img"] = read_image(
                bytes(get(path, backend_args=self.backend_args)) if remote else path,
                name=str(path),
                ignore_orientation=self.ignore_orientation,
                backend=self.imdecode_backend,
                order="bgr",
                check_size=self.check_size,
                remark=lambda kind: self._say(kind, path),
            )
        if self.to_float32:
            results["img"] = results["img"].astype("float32")
        results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
        return results

    def _say(self, kind: str, path: str | Path) -> None:
        # Once for all workers.
        if self._said.set(_KINDS.index(kind)):
            print_log(
                f"{str(path)!r} {REMARKS[kind]} (said once, there may be more of the kind)",
                logger="current",
                level=logging.WARNING,
            )

    def __repr__(self) -> str:
        """Show the settings."""
        return (
            f"LoadImage(imdecode_backend={self.imdecode_backend!r}, "
            f"ignore_orientation={self.ignore_orientation}, to_float32={self.to_float32})"
        )
