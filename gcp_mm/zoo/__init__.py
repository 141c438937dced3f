"""The published models: their rows, the files that their authors released, and the tables.

To read in this order: ``rows``, ``weights`` (``gcp_mm://ROW``), ``download``, ``tables``. It
imports the ground floor and the console, and checkpoints where weights are asked for.
"""

from gcp_mm.zoo.rows import Measurement, Release, Row, find_row, load_rows, zoo_root

__all__ = ["Measurement", "Release", "Row", "find_row", "load_rows", "zoo_root"]
