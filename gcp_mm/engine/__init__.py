"""Training, evaluation and checkpoints on top of mmengine's Runner."""
