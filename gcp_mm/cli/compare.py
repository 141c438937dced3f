"""Put the training curves of several runs into one figure and one JSON file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from gcp_mm.console.run_command import run_command
from gcp_mm.files import atomic_write


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, read the runs and write both files."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="work folders")
    parser.add_argument("--figure", type=Path, required=True, help="figure to write")
    parser.add_argument("--json", type=Path, required=True, help="numbers to write")
    parser.add_argument("--metric", default="accuracy/top1", help="metric to draw")
    parser.add_argument(
        "--command", action="append", default=[], help="how a run was made; kept in the JSON file"
    )
    args = parser.parse_args(argv)

    def command() -> None:
        from gcp_mm.plots.training_curves import plot_curves, read_runs, say, summarise

        runs = read_runs(args.runs)
        text = json.dumps(summarise(runs, args.command), indent=1, allow_nan=False) + "\n"
        plot_curves(runs, args.metric, args.figure)
        atomic_write(args.json, text)
        for run in runs:
            print(say(run, args.metric))
        print(f"results: {args.figure}, {args.json}")

    run_command(command)
