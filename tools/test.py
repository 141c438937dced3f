"""Evaluate a checkpoint of a classifier or a detector."""

from gcp_mm.cli.test import main

if __name__ == "__main__":
    main()
