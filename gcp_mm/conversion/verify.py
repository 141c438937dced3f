"""Compare the logits of a network before and after its conversion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms

from gcp_mm.console.progress import if_long
from gcp_mm.conversion.conversion import Conversion
from gcp_mm.conversion.families import FAMILY_OF, Family
from gcp_mm.conversion.plain_networks import plain_network
from gcp_mm.conversion.recognise import model_config
from gcp_mm.errors import UserError
from gcp_mm.images.read_image import ImageReadError, read_image

# Largest difference of the logits in float64, relative to the largest logit. What remains is
# rounding: the two networks order their sums differently.
TOLERANCE = 1e-9

# The test-time preprocessing of ImageNet classifiers: shorter side 256, centre 224.
_PREPROCESS = transforms.Compose(
    [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
)


@dataclass(frozen=True)
class Comparison:
    """Logits of one image by the source network and by the converted one, float64.

    Without a classifier (``classes`` is False) they are what one would take.
    """

    image: str
    before: Tensor
    after: Tensor
    classes: bool = True

    @property
    def difference(self) -> float:
        """Largest difference relative to the largest logit; NaN if a logit is not finite."""
        return float((self.before - self.after).abs().max() / self.before.abs().max())

    def __str__(self) -> str:
        """Tell the difference, and the first class with its probability."""
        difference = f"largest relative difference {self.difference:.1e}"
        if not self.classes:
            return f"{self.image}: {len(self.before)} pooled features, {difference}"
        top = [
            f"class {int(logits.argmax())} ({float(logits.softmax(0).max()):.3f})"
            for logits in (self.before, self.after)
        ]
        return f"{self.image}: before {top[0]}, after {top[1]}, {difference}"


def read_images(
    paths: Sequence[str | Path],
    mean: Sequence[float] = Family.mean,
    std: Sequence[float] = Family.std,
) -> list[Tensor]:
    """Read images of any size and mode as normalised float32 tensors (3, 224, 224)."""
    normalise = transforms.Normalize(mean, std)
    images = []
    with if_long(len(paths), "reading images") as progress:
        for path in paths:
            try:
                image = read_image(path, ignore_orientation=True)
            except ImageReadError as error:
                raise UserError(
                    f"--verify: {str(path)!r} is not a readable image: {error.reason}"
                ) from error
            images.append(normalise(_PREPROCESS(Image.fromarray(image))))
            progress.update()
    return images


def compare_logits(conversion: Conversion, paths: Sequence[str | Path]) -> list[Comparison]:
    """Run the source network in plain PyTorch and the converted one in mmpretrain.

    Both run in float64, so that an error in the conversion cannot hide in rounding.
    """
    family = FAMILY_OF[conversion.architecture.network]
    images = read_images(paths, family.mean, family.std)
    pairs = logits_before_and_after(conversion, images)
    classes = conversion.architecture.num_classes is not None
    return [
        Comparison(str(path), before, after, classes)
        for path, (before, after) in zip(paths, pairs, strict=True)
    ]


def logits_before_and_after(
    conversion: Conversion, images: Sequence[Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """Run both networks on normalised images (3, H, W): float64 logits (num_classes,) of each.

    Without a classifier these are the vectors that it would take.
    """
    # mmpretrain takes half a minute to import, and only verification needs it.
    from mmpretrain.registry import MODELS

    import gcp_mm.registry  # noqa: F401  (its models)

    before = plain_network(conversion.architecture, conversion.order)
    after = MODELS.build(model_config(conversion.architecture))
    for network, weights in ((before, conversion.source), (after, conversion.state_dict)):
        network.load_state_dict(weights, strict=True)
        network.double().eval()
    pairs = []
    with torch.no_grad(), if_long(len(images), "comparing logits") as progress:
        for image in images:
            batch = image[None].double()
            found = after(batch, mode="tensor")
            # Without a head the last features are in a tuple.
            vectors = found[-1] if isinstance(found, tuple) else found
            pairs.append((before(batch)[0], vectors[0]))
            progress.update()
    return pairs
