from engine.conftest import (
    probed_classifier,
    smooth_classifier,
    trained_by_one,
    trained_by_two,
)
from small_classifier import cfg, checkpoint

__all__ = [
    "cfg",
    "checkpoint",
    "probed_classifier",
    "smooth_classifier",
    "trained_by_one",
    "trained_by_two",
]
