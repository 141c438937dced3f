"""Draw the learning rates of configs, by default the paper's nine settings, as one figure."""

from gcp_mm.cli.schedules import main

if __name__ == "__main__":
    main()
