"""The checkpoint of a training, as the tests of the engine have it."""

from engine.conftest import training_checkpoint

__all__ = ["training_checkpoint"]
