"""What arguments of the landscape tool may be.

As in the modules that take them, which need seconds to import; a test compares.
"""

SPLITS = ("train", "val", "test")
"""Data loaders of a config that fixed images come from."""

DIRECTIONS = ("ascent", "descent")
BATCH_NORMS = ("batch", "eval")
"""Whether batch norms take the statistics of the batch, or the running ones."""

EXACT_BELOW = 1000
"""Parameters up to which the whole Hessian is formed."""

RECORDS = "landscape.jsonl"
"""Records of a run in its work folder."""
