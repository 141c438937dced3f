"""Evaluate a classifier on ImageNet-C or ImageNet-P; merge, compare and measure baselines."""

from gcp_mm.cli.robustness import main

if __name__ == "__main__":
    main()
