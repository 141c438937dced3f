"""Entry point of ``python -m gcp_mm.cli``, and of ``torchrun -m gcp_mm.cli``."""

import sys

from gcp_mm.cli.main import main

if __name__ == "__main__":
    sys.exit(main(prog="python -m gcp_mm.cli"))
