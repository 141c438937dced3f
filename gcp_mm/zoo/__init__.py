"""The published models: their rows, the files that their authors released, and the tables."""

from gcp_mm.zoo.rows import Measurement, Release, Row, find_row, load_rows, zoo_root

__all__ = ["Measurement", "Release", "Row", "find_row", "load_rows", "zoo_root"]
