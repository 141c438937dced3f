"""Draw the learning rates of configs, by default the paper's nine settings, as one figure."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from gcp_mm.console.run_command import run_command
from gcp_mm.engine.config import load_config
from gcp_mm.errors import UserError
from gcp_mm.zoo.rows import zoo_root

NINE = [
    f"{network}_lr{setting}.py"
    for network in ("resnet", "mobilenetv2", "shufflenetv2")
    for setting in ("norm", "fast", "adju")
]


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("out", type=Path, help="figure to write (.svg, .png or .pdf)")
    parser.add_argument("--configs", nargs="+", type=Path, metavar="CONFIG", help="what to draw")
    parser.add_argument(
        "--epoch-length", type=int, default=1, help="iterations of an epoch (default: %(default)s)"
    )
    args = parser.parse_args(argv)

    def command() -> None:
        from gcp_mm.plots.learning_rates import learning_rates, plot_learning_rates

        needs = ["optim_wrapper", "param_scheduler", "train_cfg"]
        schedules = zoo_root() / "configs" / "_base_" / "schedules"
        rates = {}
        for path in args.configs or [schedules / name for name in NINE]:
            if path.stem in rates:
                raise UserError(f"two of the configs are called {path.stem!r}; draw one at a time")
            cfg = load_config(str(path), needs=needs)
            rates[path.stem] = learning_rates(cfg, args.epoch_length)[:, 0]
        for name, values in rates.items():
            print(f"{name:24} {len(values):4} epochs, {values[0]:.6g} to {values[-1]:.6g}")
        print(f"results: {plot_learning_rates(rates, args.out)}")

    run_command(command)
