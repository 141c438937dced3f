"""Images that cannot be read: skipped in training up to a number, an error in evaluation.

The loader of a user's own pipeline may see other pixels than the tools of this package;
:class:`PlainLoaderCheck` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.first_process import warn
from gcp_mm.images.load_image import SharedFlags
from gcp_mm.images.read_image import describe_error, is_ordinary, open_image, read_image
from gcp_mm.plain_data import COUNT

if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset as _DataSet
else:
    # A mixin: mmpretrain's and mmdet's data sets have that class as their base.
    _DataSet = object

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
        load = self._load
        if load is None or not self.is_open or not self._seen.set(index):
            return
        try:
            with open_image(path) as image:
                if is_ordinary(image):
                    return
                kind = f"{image.format}, mode {image.mode}"
        except (OSError, ValueError):
            # Of a remote file, or one that other decoders read.
            return
        if (difference := _difference(load, path)) and self._said.set(0):
            warn(
                f"LoadImageFromFile reads {path!r} ({kind}) otherwise than gcp_mm.LoadImage, with "
                f"which the tools for robustness and export read images: {difference}. Use "
                "dict(type='gcp_mm.LoadImage') as the first transform of every pipeline (said "
                "once, there may be more of the kind)"
            )


def _difference(load: LoadImageFromFile, path: str) -> str | None:
    """Say how the pixels of mmcv's loader differ from those of this package."""
    theirs = load({"img_path": path})["img"]
    ignored = load.color_type.endswith("ignore_orientation")
    try:
        ours = read_image(path, ignore_orientation=ignored, order="bgr")
    except UserError as error:
        return f"it refuses the file ({describe_error(error)})"
    if theirs.shape != ours.shape:
        return f"shape {theirs.shape} and {ours.shape}"
    levels = np.abs(theirs.astype(float) - ours).mean()
    return f"{levels:.0f} levels of 255 apart on average" if levels > _DIFFERENT else None


class SkipUnreadable(_DataSet):
    """Mixin for a data set of mmengine whose pipeline begins with loading the image.

    An image is unreadable if the first transform of the pipeline fails on it: the file is missing,
    truncated or no image. PIL and OpenCV both refuse a truncated file. An error of a later
    transform is a bug and is raised as it is.

    In training, the file and the reason are logged once, and mmengine draws another image at
    random. The workers of a data loader count together, each process of a distributed run by
    itself. Evaluation is what mmengine calls ``test_mode``.

    Args:
        *args: Passed on to the data set.
        max_unreadable: Number of different files that training skips; one more ends it.
            Defaults to 10.
        **kwargs: Passed on to the data set.
    """

    def __init__(self, *args: Any, max_unreadable: int = 10, **kwargs: Any) -> None:
        if not COUNT.fits(max_unreadable):
            raise UserError(
                f"max_unreadable={max_unreadable!r} of the data set: give the number of files that "
                "a training may skip, 0 for none"
            )
        self.max_unreadable = max_unreadable
        super().__init__(*args, **kwargs)

    def full_init(self) -> None:
        """Load the list of samples, before the workers start."""
        if not self._fully_initialized:
            super().full_init()
            self._make_flags()

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Reduce the data set to some of its samples."""
        super().get_subset_(indices)
        self._make_flags()

    def get_subset(self, indices: Sequence[int] | int) -> SkipUnreadable:
        """Return a data set of some of the samples."""
        subset = super().get_subset(indices)
        subset._make_flags()
        return subset

    def _make_flags(self) -> None:
        self._unreadable = SharedFlags(len(self))
        transforms = self.pipeline.transforms
        self._check_loader = PlainLoaderCheck(transforms[0] if transforms else None, len(self))

    def prepare_data(self, idx: int) -> dict | None:
        """Load and transform a sample."""
        try:
            prepared = super().prepare_data(idx)
        except Exception:
            sample = self.get_data_info(idx)
            index, path = sample["sample_idx"], sample["img_path"]
            try:
                self.pipeline.transforms[0](sample)
            except Exception as error:
                self._report(index, path, error)
                return None
            # The image is readable.
            raise
        if self._check_loader.is_open:
            sample = self.get_data_info(idx)
            self._check_loader(sample["sample_idx"], sample["img_path"])
        return prepared

    def _report(self, index: int, path: str, error: Exception) -> None:
        reason = describe_error(error)
        if self.test_mode:
            raise UserError(
                f"{path!r} cannot be read ({reason}). Evaluation skips no image, because the "
                "result would be that of other data: replace the file"
            ) from error
        is_new = self._unreadable.set(index)
        seen = self._unreadable.indices()
        if len(seen) > self.max_unreadable or len(seen) == len(self):
            others = [self.get_data_info(other)["img_path"] for other in seen if other != index]
            why = f"max_unreadable={self.max_unreadable} of the data set allows no more"
            remedy = "Replace the files, or raise train_dataloader.dataset.max_unreadable"
            if len(seen) == len(self):
                why, remedy = "the data set has no others", "Replace the files"
            raise UserError(
                f"{len(seen)} images cannot be read, and {why}. The last one: {path!r} ({reason})"
                f"{'; before it: ' if others else ''}{abbreviate(others, 10)}. {remedy}"
            ) from error
        if is_new:
            warn(
                f"skipped {path!r}, which cannot be read ({reason}): {len(seen)} of at most "
                f"{self.max_unreadable} such files"
            )
