"""Entry point of ``python -m gcp_mm.doctor``."""

import sys

from gcp_mm.doctor import main

if __name__ == "__main__":
    sys.exit(main())
