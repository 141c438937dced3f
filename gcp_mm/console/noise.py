"""Keeps back what others print at every start and no user of these tools can act on."""

from __future__ import annotations

import os
import re
import warnings

# 1 shows everything; an environment variable, because processes that a tool starts read it too.
VERBOSE = "GCP_MM_VERBOSE"
# Beginnings of warnings of setuptools, PyTorch and mmengine about each other.
_OF_LIBRARIES = (
    "pkg_resources is deprecated as an API",
    "'pin_memory' argument is set as true",
    "Setting OMP_NUM_THREADS environment variable",
    "Setting MKL_NUM_THREADS environment variable",
    "`broadcast_buffers` is deprecated",
)


def be_quiet() -> None:
    """Filter warnings, unless :data:`VERBOSE` is set; to be called before heavy imports.

    Of several processes the first alone shows warnings.
    """
    if os.environ.get(VERBOSE):
        return
    for text in _OF_LIBRARIES:
        warnings.filterwarnings("ignore", message=re.escape(text))
    rank = os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or "0"
    if rank != "0":
        warnings.simplefilter("ignore")
    # For loader workers that are started anew and not forked.
    others = os.environ.get("PYTHONWARNINGS", "").split(",")
    ours = [f"ignore:{text}" for text in _OF_LIBRARIES]
    kept = [text for text in others if text and text not in ours]
    os.environ["PYTHONWARNINGS"] = ",".join([*kept, *ours])
