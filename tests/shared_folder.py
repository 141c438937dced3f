"""Where the golden numbers and the real images are, and the packages that are kept apart."""

import os
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("GCP_MM_SHARED", REPO.parent / "shared"))
NO_SHARED = f"the folder of golden numbers is absent: {SHARED} (GCP_MM_SHARED names another one)"
PEERS_LOCK = REPO / "requirements/peers.txt"
PEERS = REPO / ".cache/peers/{}.{}".format(*sys.version_info)
