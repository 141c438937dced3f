"""One rendered demo scene with the visible mask of every object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gcp_mm.demo.scene_layout import sample_layout, visible_masks
from gcp_mm.demo.textures import paint_texture, sample_color

SPLIT_NAMES = ("train", "val")

_CROWD_PERIOD = 6


@dataclass(frozen=True)
class SceneObject:
    """A painted object, or a painted crowd of small objects of one class.

    Attributes:
        category: Index of the class in `gcp_mm.demo.shapes.SHAPE_NAMES`.
        mask: Visible pixels, bool of shape `(height, width)`; never empty.
        crowd: Whether this is a crowd.
    """

    category: int
    mask: np.ndarray
    crowd: bool


@dataclass(frozen=True)
class Scene:
    """A rendered image and everything that is painted on its background.

    Attributes:
        image: RGB image of shape `(height, width, 3)`, uint8.
        objects: Painted objects in painting order, the bottom one first. Their masks are
            disjoint.
    """

    image: np.ndarray
    objects: tuple[SceneObject, ...]


def render_scene(image_size: tuple[int, int], seed: int, split: str, index: int) -> Scene:
    """Render one scene, independently of all others.

    Every sixth scene, beginning with the first, contains a crowd.

    Args:
        image_size: Width and height, in pixels; at least 96 each.
        seed: Non-negative seed of the data set.
        split: `train` or `val`; the two are disjoint random streams.
        index: Index of the scene in the split, from 0.

    Returns:
        The scene, which depends on nothing but the four arguments.

    Raises:
        ValueError: If `split` is neither `train` nor `val`.
    """
    if split not in SPLIT_NAMES:
        raise ValueError(f"There is no split named {split!r}; choose one of {SPLIT_NAMES}.")
    # A spawn key, unlike a list of seeds, cannot collide with the words of a large seed.
    key = (SPLIT_NAMES.index(split), index)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    layers = sample_layout(rng, image_size, with_crowd=index % _CROWD_PERIOD == 0)
    colors = [sample_color(rng)]
    canvas = paint_texture(rng, colors[0], image_size)
    for layer in layers:
        for coverage in layer.coverages:
            color = sample_color(rng, colors)
            # Members of a crowd need to differ from what surrounds the crowd, not from each other.
            if not layer.crowd:
                colors.append(color)
            window = _extent(coverage)
            texture = paint_texture(rng, color, image_size, window)
            below = canvas[window]
            below += coverage[window][:, :, None] * (texture - below)
    canvas += rng.normal(0.0, rng.uniform(0.01, 0.04), size=canvas.shape).astype(np.float32)
    image = np.rint(np.clip(canvas, 0.0, 1.0) * 255.0).astype(np.uint8)
    objects = tuple(
        SceneObject(layer.category, mask, layer.crowd)
        for layer, mask in zip(layers, visible_masks(layers), strict=True)
    )
    return Scene(image, objects)


def _extent(coverage: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns in which a shape covers anything."""
    rows = np.flatnonzero(coverage.any(axis=1))
    columns = np.flatnonzero(coverage.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
