"""CUB-200-2011, FGVC-Aircraft and Stanford Cars, as mmpretrain reads them.

What differs: evaluation skips no image, and files that are absent or of another form are one
error with their path.
"""

from __future__ import annotations

from typing import Any

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
        test_mode: Whether the data are for evaluation. Defaults to True for the split 'test'.
        **kwargs: Passed on to mmpretrain's class.
    """

    def __init__(
        self, data_root: str, split: str, test_mode: bool | None = None, **kwargs: Any
    ) -> None:
        try:
            super().__init__(data_root=data_root, split=split, **kwargs)
        except (AssertionError, RuntimeError) as error:
            # A split that there is not, or annotations in none of the places for them.
            raise self._refusal(data_root, error) from error
        self.test_mode = split == "test" if test_mode is None else test_mode

    def load_data_list(self) -> list[dict]:
        """Return the path and the label of each image of the split."""
        # mmpretrain's Cars take the split from it.
        wanted, self.test_mode = self.test_mode, self.split == "test"
        try:
            samples = super().load_data_list()
        except Exception as error:
            raise self._refusal(self.data_root, error) from error
        finally:
            self.test_mode = wanted
        if not samples:
            raise self._refusal(self.data_root, f"no image of the split {self.split!r}")
        return samples

    def _refusal(self, data_root: str, reason: Exception | str) -> UserError:
        text = " ".join(str(reason).split()) or type(reason).__name__
        return UserError(f"{type(self).__name__} in {data_root!r}: {text}")


@DATASETS.register_module()
class CUB(_FineGrained, MMPretrainCUB):
    """CUB-200-2011: 200 kinds of birds, 5994 images in 'train' and 5794 in 'test'."""


@DATASETS.register_module()
class FGVCAircraft(_FineGrained, MMPretrainFGVCAircraft):
    """FGVC-Aircraft: 100 variants, 6667 images in 'trainval' and 3333 in 'test'."""


@DATASETS.register_module()
class StanfordCars(_FineGrained, MMPretrainStanfordCars):
    """Stanford Cars: 196 models, 8144 images in 'train' and 8041 in 'test'."""
