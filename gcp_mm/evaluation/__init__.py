"""The robustness measures under the name that OpenMMLab's packages have for such a room.

They live in :mod:`gcp_mm.robustness.measures` and need numpy and nothing else.
"""

from gcp_mm.robustness import measures
from gcp_mm.robustness.measures import *  # noqa: F403

__all__ = list(measures.__all__)
