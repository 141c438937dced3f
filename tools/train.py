"""Train a classifier or a detector from a config."""

from gcp_mm.cli.train import main

if __name__ == "__main__":
    main()
