"""Results with the index of their sample, so that what a sampler repeats counts once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gcp_mm.errors import UserError


def once_per_sample(results: Sequence[Sequence[int]], size: int) -> np.ndarray:
    """Order results by sample and drop repetitions.

    Samplers of several processes repeat samples until each process has equally many.

    Args:
        results: Rows of integers, the first of which is the index of the sample.
        size: Number of samples of the data set.

    Returns:
        (size, ...) int64, the rows without their index.

    Raises:
        UserError: If a sample has no result.
    """
    rows = np.asarray(results, np.int64).reshape(len(results), -1)
    indices, first = np.unique(rows[:, 0], return_index=True)
    if len(indices) != size:
        raise UserError(
            f"{len(indices)} of {size} samples were evaluated: a part gives no robustness measure. "
            "Choose fewer cells or num_samples in the data set instead"
        )
    return rows[first, 1:]
