"""CUB-200-2011, FGVC-Aircraft and Stanford Cars, as mmpretrain reads them.

What differs: evaluation skips no image, and files that are absent or of another form are one
error with their path.
"""

from __future__ import annotations

from typing import Any

from mmengine.fileio import exists, join_path
from mmpretrain.datasets import CUB as MMPretrainCUB
from mmpretrain.datasets import FGVCAircraft as MMPretrainFGVCAircraft
from mmpretrain.datasets import StanfordCars as MMPretrainStanfordCars

from gcp_mm.datasets.skip_unreadable import SkipUnreadable
from gcp_mm.errors import UserError
from gcp_mm.registry import DATASETS


class _FineGrained(SkipUnreadable):
    """What the three have in common.

    Args:
        data_root: Folder of the unpacked archive.
        split: Part of the images; see the class of mmpretrain.
        test_mode: Whether the data are for evaluation. Defaults to True for 'val' and 'test'.
        **kwargs: Passed on to mmpretrain's class.
    """

    SPLITS: tuple[str, ...] = ("train", "test")

    def __init__(
        self, data_root: str, split: str, test_mode: bool | None = None, **kwargs: Any
    ) -> None:
        # Here, because an assertion in mmpretrain's class may also be one of a user's transform.
        if split not in self.SPLITS:
            raise self._refusal(data_root, f"split must be one of {self.SPLITS}, not {split!r}")
        self._check_files(data_root, split)
        super().__init__(data_root=data_root, split=split, **kwargs)
        self.test_mode = split in ("val", "test") if test_mode is None else test_mode

    def _check_files(self, data_root: str, split: str) -> None:
        """Refuse what mmpretrain's class does not even try to open."""

    def _annotation_files(self) -> list[str]:
        return [self.ann_file]

    def load_data_list(self) -> list[dict]:
        """Return the path and the label of each image of the split."""
        # mmpretrain's Cars take the split from it.
        wanted, self.test_mode = self.test_mode, self.split == "test"
        try:
            samples = super().load_data_list()
        except Exception as error:
            files = " or ".join(map(repr, self._annotation_files()))
            text = " ".join(str(error).split())
            reason = f"{files} cannot be read: {type(error).__name__}: {text}"
            raise self._refusal(self.data_root, reason) from error
        finally:
            self.test_mode = wanted
        if not samples:
            reason = f"no image of the split {self.split!r} in {self.ann_file!r}"
            raise self._refusal(self.data_root, reason)
        return samples

    def _refusal(self, data_root: str, reason: str) -> UserError:
        return UserError(f"{type(self).__name__} in {data_root!r}: {reason}")


@DATASETS.register_module()
class CUB(_FineGrained, MMPretrainCUB):
    """CUB-200-2011: 200 kinds of birds, 5994 images in 'train' and 5794 in 'test'."""

    def _annotation_files(self) -> list[str]:
        return [self.ann_file, self.image_class_labels_file, self.train_test_split_file]


@DATASETS.register_module()
class FGVCAircraft(_FineGrained, MMPretrainFGVCAircraft):
    """FGVC-Aircraft: 100 variants, 6667 images in 'trainval' and 3333 in 'test'."""

    SPLITS = ("train", "val", "trainval", "test")


@DATASETS.register_module()
class StanfordCars(_FineGrained, MMPretrainStanfordCars):
    """Stanford Cars: 196 models, 8144 images in 'train' and 8041 in 'test'."""

    def _check_files(self, data_root: str, split: str) -> None:
        name = "cars_test_annos_withlabels.mat" if split == "test" else "cars_train_annos.mat"
        whole, part = (join_path(data_root, *p) for p in (["cars_annos.mat"], ["devkit", name]))
        if not exists(whole) and not exists(part):
            reason = f"neither {whole!r} nor {part!r} exists: unpack the annotations there"
            raise self._refusal(data_root, reason)
