"""Noise sequences: the clean frame, then independent noise in every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from gcp_mm.robustness.corrupt.sequences.frame import FRAMES, clean_frame, to_pixels

# Of difficulty 1, the only one that was released.
_SIGMA = 0.03
_PHOTONS = 300


def _noisy(clean: np.ndarray, noise: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
    yield to_pixels(clean)
    for _ in range(FRAMES - 1):
        yield to_pixels(noise(clean))


def gaussian_noise_sequence(
    image: Image.Image, size: int | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Add Gaussian noise with standard deviation 0.03.

    Yields:
        31 frames; the first one is clean.
    """
    return _noisy(
        clean_frame(image, size),
        lambda clean: clean + _SIGMA * rng.standard_normal(clean.shape, dtype=np.float32),
    )


def shot_noise_sequence(
    image: Image.Image, size: int | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Replace every value x by Poisson(300 x) / 300.

    Yields:
        31 frames; the first one is clean.
    """
    return _noisy(clean_frame(image, size), lambda clean: rng.poisson(_PHOTONS * clean) / _PHOTONS)
