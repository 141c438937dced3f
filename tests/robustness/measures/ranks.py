"""The original's definition of the top-5 distance, over the ranks of all classes."""

import numpy as np


def random_logits(seed: int = 0, clips: int = 3, frames: int = 6, classes: int = 12) -> np.ndarray:
    """Draw scores without ties."""
    rng = np.random.default_rng(seed)
    return rng.permuted(np.arange(clips * frames * classes)).reshape(clips, frames, classes)


def top5_of(logits: np.ndarray) -> np.ndarray:
    """Order the five highest scores."""
    return np.argsort(-logits, axis=-1)[..., :5]


def distance(reference: np.ndarray, current: np.ndarray) -> int:
    """Compute the distance of two score vectors from ranks, as REF's test.py does."""
    ranks_reference, ranks_current = ((-x).argsort().argsort() + 1 for x in (reference, current))
    total = 0
    for rank in range(1, 6):
        position = ranks_current[ranks_reference == rank][0]
        total += abs(rank - min(position, 6))
    return total


def pairs(frames: int, noise: bool, difficulty: int) -> list[tuple[int, int]]:
    """Enumerate the compared frames: sub-sequences start at every offset below the difficulty."""
    if noise:
        return [(0, j) for j in range(1, frames)]
    chains = [range(start, frames, difficulty) for start in range(difficulty)]
    return [pair for chain in chains for pair in zip(chain, chain[1:], strict=False)]
