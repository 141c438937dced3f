"""`surface CONFIG CKPT`: the loss around a checkpoint."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gcp_mm.cli.landscape_commands.choices import BATCH_NORMS
from gcp_mm.cli.landscape_commands.measurement import (
    Measurement,
    add_measurement_arguments,
    prepare,
)
from gcp_mm.console.command_names import next_command
from gcp_mm.locks import hold_file

if TYPE_CHECKING:
    from gcp_mm.landscape.surface import Grid


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command.

    Args:
        subparsers: Those of the tool.
    """
    parser = subparsers.add_parser(
        "surface",
        help="loss on a line or a plane through the weights",
        description="Evaluate the loss on a grid of filter-normalised random directions around a "
        "checkpoint. Started again, it continues.",
    )
    add_measurement_arguments(parser)
    parser.add_argument("--dimensions", type=int, choices=[1, 2], default=1, help="line or plane")
    parser.add_argument(
        "--range",
        type=float,
        nargs=2,
        default=[-1.0, 1.0],
        metavar=("LOW", "HIGH"),
        help="of both coordinates; 1 is the norm of the weights",
    )
    parser.add_argument("--points", type=int, default=51, help="grid points in each direction")
    parser.add_argument(
        "--batch-norm",
        choices=BATCH_NORMS,
        default="batch",
        help="statistics of each batch (default), or the running ones of the checkpoint, which "
        "do not belong to the weights elsewhere",
    )
    parser.add_argument(
        "--include-vectors", action="store_true", help="also move biases and normalisations"
    )
    parser.set_defaults(command=command)


def command(args: argparse.Namespace) -> None:
    """Measure the points that the result file lacks; each one is written when it is done.

    Args:
        args: The parsed command line.

    Raises:
        UserError: If something is missing, does not fit, or belongs to another measurement.
    """
    # Imported here, because it takes seconds and --help should not.
    from gcp_mm.landscape.surface import make_grid

    grid = make_grid(*args.range, args.points, args.dimensions)
    measurement = prepare(args, "surface")
    with hold_file(measurement.out, "is being written", "wait for it, or choose another --out"):
        _measure(args, measurement, grid)


def _measure(args: argparse.Namespace, measurement: Measurement, grid: Grid) -> None:
    import numpy as np

    from gcp_mm.console.progress import Progress
    from gcp_mm.landscape.result_file import ResultFile
    from gcp_mm.landscape.surface import losses_as_array, surface

    settings = {
        **measurement.settings,
        "dimensions": args.dimensions,
        "range": args.range,
        "points": args.points,
        "batch_norm": args.batch_norm,
        "include_vectors": args.include_vectors,
    }
    file = ResultFile(measurement.out, "surface", settings)
    done = sum(loss is not None for row in file.results.get("losses", ()) for loss in row)
    total = len(grid.alphas) * len(grid.betas)
    print(f"{measurement.out}: {done} of {total} points are there")
    file.results.update(
        checkpoint=str(args.checkpoint), alphas=list(grid.alphas), betas=list(grid.betas)
    )
    with Progress(total - done) as progress:

        def on_point() -> None:
            file.save()
            progress.update()

        surface(
            measurement.model,
            measurement.batches,
            grid,
            seed=args.seed,
            batch_norm=args.batch_norm,
            include_vectors=args.include_vectors,
            results=file.results,
            on_point=on_point,
        )
    losses = losses_as_array(file.results)
    gaps = int(np.isnan(losses).sum())
    low, high = np.nanmin(losses), np.nanmax(losses)
    print(
        f"loss {file.results['loss']:.4f} at the checkpoint, {low:.4f} to {high:.4f} on the grid"
        f"{f', not finite at {gaps} points' if gaps else ''}"
    )
    print(f"results: {measurement.out}")
    print(
        next_command("landscape", "plot", measurement.out, "--out", measurement.out.with_suffix(""))
    )
