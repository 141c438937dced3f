from small_classifier import cfg, checkpoint

__all__ = ["cfg", "checkpoint"]
