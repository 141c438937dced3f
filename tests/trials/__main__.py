"""Run the trials: ``python tests/trials [NAME ...] [--seconds 900] [--seed 0]``.

Each prints how many cases it tried, how many held and what the others did. They are no tests: the
cases are drawn anew with each seed, and there are as many as there is time for.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

from forked import import_everything
from inputs import make_inputs

# Each with its share of the time.
TRIALS = {
    "kills": 6,
    "hostile_files": 3,
    "damaged_files": 3,
    "lying_server": 2,
    "environment": 3,
    "layer_fuzz": 2,
}


def main() -> int:
    """Run the trials that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", nargs="*", metavar="NAME", help=f"of {', '.join(TRIALS)}")
    parser.add_argument("--seconds", type=float, default=900, help="of all of them together")
    parser.add_argument("--seed", type=int, default=0, help="chooses the cases")
    args = parser.parse_args()
    chosen = args.trials or list(TRIALS)
    for name in chosen:
        if name not in TRIALS:
            parser.error(f"there is no trial {name!r}; there are {', '.join(TRIALS)}")
    begin = time.monotonic()
    import_everything()
    status, parts = 0, sum(TRIALS[name] for name in chosen)
    with tempfile.TemporaryDirectory(prefix="gcp_mm_trials_") as folder:
        inputs = make_inputs(Path(folder).resolve())
        left = args.seconds - (time.monotonic() - begin)
        for name in chosen:
            share = left * TRIALS[name] / parts
            status |= importlib.import_module(name).run(inputs, share, args.seed)
            sys.stdout.flush()
    print(f"trials ended with {status} after {time.monotonic() - begin:.0f} s")
    return status


if __name__ == "__main__":
    sys.exit(main())
