from engine.conftest import smooth_classifier
from small_classifier import cfg, checkpoint

__all__ = ["cfg", "checkpoint", "smooth_classifier"]
