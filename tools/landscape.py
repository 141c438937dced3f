"""Measure how smooth the loss of a classifier is: train and probe, probe checkpoints, plot."""

from gcp_mm.cli.landscape import main

if __name__ == "__main__":
    main()
