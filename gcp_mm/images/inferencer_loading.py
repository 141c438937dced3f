"""Let mmpretrain's inferencer read images as the test pipeline of its config does.

``ImageClassificationInferencer`` drops ``LoadImageFromFile`` from the pipeline and reads paths with
mmcv's default decoder, whatever the config says: an image gets other pixels than in evaluation if
the config ignores orientation tags or reads with Pillow. It offers no hook for the reading, but
takes arrays as they are. No issue about it is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import wrapt


def read_by_the_pipeline(module: ModuleType) -> None:
    """Change the inferencer, for configs whose first transform is ``gcp_mm.LoadImage``.

    Args:
        module: ``mmpretrain.apis.image_classification``.
    """
    cls = module.ImageClassificationInferencer

    @wrapt.decorator
    def preprocess(wrapped, inferencer, args, kwargs):
        return wrapped(*_loaded(inferencer, *args), **kwargs)

    cls.preprocess = preprocess(cls.preprocess)


def _loaded(inferencer: object, inputs: list, *others: object) -> tuple:
    from gcp_mm.images.load_image import LoadImage

    first = next(iter(inferencer.pipeline.transforms), None)
    if not isinstance(first, LoadImage):
        return inputs, *others

    def read() -> Iterator:
        for image in inputs:
            yield first({"img_path": image})["img"] if isinstance(image, str) else image

    return read(), *others
