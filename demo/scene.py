"""One rendered demo scene: overlapping objects at random places, and what is visible of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from demo.drawing import SHAPE_NAMES, paint_texture, sample_color, shape_coverage

_MIN_OBJECTS, _MAX_OBJECTS = 3, 5
_SIDE_RANGE = (0.24, 0.45)
_MEMBER_SIDE_RANGE = (0.055, 0.075)
_MEMBER_SPACING = 1.15
_OVERLAP_PROBABILITY = 0.5
_MIN_VISIBLE_FRACTION = 0.4
_MIN_VISIBLE_AREA = 64
_ATTEMPTS = 100
_CROWD_PERIOD = 6

SPLIT_NAMES = ("train", "val")


@dataclass(frozen=True)
class Layer:
    """One annotated thing of a scene: an object, or a crowd of small objects of one class.

    Attributes:
        category: Index of the class in `SHAPE_NAMES`.
        coverages: Anti-aliased coverage of each shape to paint, bottom first; one for an object,
            several for a crowd. Each has shape `(height, width)`, float32 in [0, 1].
        center: Centre `(x, y)` in pixels.
        side: Extent in pixels: the square root of the area of an object, the diameter of a crowd.
        crowd: Whether this is a crowd.
    """

    category: int
    coverages: tuple[np.ndarray, ...]
    center: tuple[float, float]
    side: float
    crowd: bool

    @cached_property
    def mask(self) -> np.ndarray:
        """Pixels at least half covered, ignoring layers above; bool, `(height, width)`."""
        return np.max(self.coverages, axis=0) >= 0.5


def visible_masks(layers: list[Layer]) -> list[np.ndarray]:
    """Return what later layers leave visible of each layer: disjoint masks (height, width)."""
    visible = []
    hidden: np.ndarray | bool = False
    for layer in reversed(layers):
        visible.append(layer.mask & ~np.asarray(hidden))
        hidden = hidden | layer.mask
    return visible[::-1]


def sample_layout(
    rng: np.random.Generator, image_size: tuple[int, int], with_crowd: bool
) -> list[Layer]:
    """Place 3 to 5 objects at random, many of them overlapping, and optionally a crowd below.

    An object is placed only where every layer keeps at least 40 % of its pixels, and 64 pixels,
    in sight. No layer is therefore painted but too hidden to be annotated. In the rare case that
    100 attempts find no such place, the object is left out.
    """
    layers = [_sample_crowd(rng, image_size)] if with_crowd else []
    for _ in range(rng.integers(_MIN_OBJECTS, _MAX_OBJECTS + 1)):
        for _ in range(_ATTEMPTS):
            candidate = [*layers, _sample_object(rng, image_size, layers)]
            if _all_recognisable(candidate):
                layers = candidate
                break
    return layers


def _all_recognisable(layers: list[Layer]) -> bool:
    """Tell whether enough of every layer is visible."""
    return all(
        visible.sum() >= max(_MIN_VISIBLE_AREA, _MIN_VISIBLE_FRACTION * layer.mask.sum())
        for layer, visible in zip(layers, visible_masks(layers), strict=True)
    )


def _sample_object(
    rng: np.random.Generator, image_size: tuple[int, int], layers: list[Layer]
) -> Layer:
    """Draw one object, beside one of `layers` or anywhere."""
    category = int(rng.integers(len(SHAPE_NAMES)))
    side = min(image_size) * rng.uniform(*_SIDE_RANGE)
    # Margins of half a side let the border cut some objects, as photographs do.
    low, high = np.full(2, 0.5 * side), np.asarray(image_size) - 0.5 * side
    center = rng.uniform(low, high)
    if layers and rng.uniform() < _OVERLAP_PROBABILITY:
        other = layers[rng.integers(len(layers))]
        distance = rng.uniform(0.4, 0.8) * 0.5 * (side + other.side)
        angle = rng.uniform(0.0, 2.0 * np.pi)
        offset = distance * np.array([np.cos(angle), np.sin(angle)])
        center = np.clip(np.asarray(other.center) + offset, low, high)
    coverage = _sample_coverage(rng, category, center, side, image_size)
    return Layer(category, (coverage,), (float(center[0]), float(center[1])), side, False)


def _sample_crowd(rng: np.random.Generator, image_size: tuple[int, int]) -> Layer:
    """Draw a cluster of small objects of one class that hardly overlap each other."""
    category = int(rng.integers(len(SHAPE_NAMES)))
    unit = min(image_size)
    radius = 0.2 * unit
    center = rng.uniform(np.full(2, radius), np.asarray(image_size) - radius)
    spacing = _MEMBER_SPACING * _MEMBER_SIDE_RANGE[1] * unit
    points: list[np.ndarray] = []
    for _ in range(_ATTEMPTS):
        point = center + rng.uniform(-radius, radius, size=2)
        near = any(np.linalg.norm(point - other) < spacing for other in points)
        if not near and np.linalg.norm(point - center) <= 0.8 * radius:
            points.append(point)
    coverages = tuple(
        _sample_coverage(rng, category, point, unit * rng.uniform(*_MEMBER_SIDE_RANGE), image_size)
        for point in points
    )
    return Layer(category, coverages, (float(center[0]), float(center[1])), 2.0 * radius, True)


def _sample_coverage(
    rng: np.random.Generator,
    category: int,
    center: np.ndarray,
    side: float,
    image_size: tuple[int, int],
) -> np.ndarray:
    """Rasterise a shape with a random rotation and stretch."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    aspect = float(np.exp(rng.uniform(-0.25, 0.25)))
    x, y = (float(value) for value in center)
    return shape_coverage(SHAPE_NAMES[category], (x, y), side, image_size, angle, aspect)


@dataclass(frozen=True)
class SceneObject:
    """A painted object, or a painted crowd of small objects of one class.

    Attributes:
        category: Index of the class in `demo.drawing.SHAPE_NAMES`.
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
    """Render one scene, which depends on nothing but the four arguments.

    Every sixth scene, beginning with the first, contains a crowd. The splits are disjoint random
    streams.
    """
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
