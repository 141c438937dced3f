"""The transform with which pipelines read images, mmpretrain's inferencer included.

``ImageClassificationInferencer`` drops ``LoadImageFromFile`` from the pipeline and reads paths with
mmcv's default decoder, whatever the config says: an image gets other pixels than in evaluation if
the config ignores orientation tags or reads with Pillow. It offers no hook for the reading, but
takes arrays as they are. No issue about it is known.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import torch
import wrapt
from mmcv.transforms import BaseTransform
from mmengine.fileio import get

from gcp_mm.errors import UserError
from gcp_mm.first_process import warn
from gcp_mm.images.read_image import BACKENDS, REMARKS, read_image
from gcp_mm.registry import TRANSFORMS


def read_by_the_pipeline(module: ModuleType) -> None:
    """Change the inferencer, for configs whose first transform is ``gcp_mm.LoadImage``."""
    cls = module.ImageClassificationInferencer

    @wrapt.decorator
    def preprocess(wrapped, inferencer, args, kwargs):
        inputs, *others = args
        load = next(iter(inferencer.pipeline.transforms), None)
        if isinstance(load, LoadImage):
            inputs = (
                load({"img_path": image})["img"] if isinstance(image, str) else image
                for image in inputs
            )
        return wrapped(inputs, *others, **kwargs)

    cls.preprocess = preprocess(cls.preprocess)


class SharedFlags:
    """Flags in shared memory. Setting one twice changes nothing, so that no lock is needed.

    A copy and an unpickled object have flags of their own. Only torch's pickler, which hands the
    data set to workers that are spawned, keeps the memory in common.
    """

    def __init__(self, size: int) -> None:
        self._flags = torch.zeros(size, dtype=torch.bool).share_memory_()

    def __setstate__(self, state: dict) -> None:
        """Restore the flags, in shared memory again."""
        self.__dict__.update(state)
        self._flags.share_memory_()

    def set(self, index: int) -> bool:
        """Set a flag; return whether it was clear before."""
        was_clear = not self._flags[index]
        self._flags[index] = True
        return was_clear

    def indices(self) -> list[int]:
        """Return the indices whose flag is set."""
        # Of a copy: nonzero counts before it writes, and a flag that another process sets between
        # is an internal error of torch, or is written beyond the end of the result.
        return self._flags.clone().nonzero().flatten().tolist()


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
            warn(f"{str(path)!r} {REMARKS[kind]} (said once, there may be more of the kind)")

    def __repr__(self) -> str:
        """Show the settings."""
        return (
            f"LoadImage(imdecode_backend={self.imdecode_backend!r}, "
            f"ignore_orientation={self.ignore_orientation}, check_size={self.check_size}, "
            f"to_float32={self.to_float32})"
        )
