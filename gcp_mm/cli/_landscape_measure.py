"""`surface CONFIG CKPT` and `curvature CONFIG CKPT`: the loss around a checkpoint, and its Hessian.

Both take a checkpoint and fixed images, and continue the file that they write. What their arguments
may be stands here as in the modules that take them, which need seconds to import; a test compares.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.console.command_names import next_command
from gcp_mm.engine.config import add_common_arguments, load_config
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gcp_mm.landscape.loss import Batches
    from gcp_mm.landscape.records import ResultFile

SPLITS = ("train", "val", "test")
"""Data loaders of a config that fixed images come from."""

DIRECTIONS = ("ascent", "descent")
BATCH_NORMS = ("batch", "eval")
"""Whether batch norms take the statistics of the batch, or the running ones."""

EXACT_BELOW = 1000
"""Parameters up to which the whole Hessian is formed."""

RECORDS = "landscape.jsonl"
"""Records of a run in its work folder."""


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which images are measured, and where."""
    parser.add_argument("--split", choices=SPLITS, default="train", help="where images come from")
    parser.add_argument("--batches", type=int, default=1, help="number of batches")
    parser.add_argument("--batch-size", type=int, default=256, help="images in a batch")
    parser.add_argument("--device", help="such as cuda:0; by default the GPU if there is one")


def check_device(args: argparse.Namespace, command: str) -> torch.device:
    """Return the device that the arguments name."""
    if args.launcher != "none":
        raise UserError(f"{command} runs in one process; leave out --launcher {args.launcher}")
    from gcp_mm.engine.torch_backends import find_device

    return find_device(args.device)


def add_measurement_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what is measured on which images."""
    add_common_arguments(parser)
    parser.add_argument("checkpoint", help="weights to measure around")
    parser.add_argument("--out", type=Path, help="result file (.json); an unfinished one continues")
    add_image_arguments(parser)
    parser.add_argument("--data-seed", type=int, default=0, help="chooses the images")
    parser.add_argument("--seed", type=int, default=0, help="of directions and random vectors")


@contextmanager
def _measuring(
    args: argparse.Namespace, kind: str, options: Sequence[str]
) -> Iterator[tuple[nn.Module, Batches, ResultFile]]:
    """Load what the arguments name, and say at the end where the results are and what is next."""
    from gcp_mm.landscape.offline import measuring

    device = check_device(args, kind)
    cfg = load_config(args.config, args.cfg_options, args.work_dir, needs=["model"])
    common = ("split", "batches", "batch_size", "data_seed", "seed")
    chosen = {name: getattr(args, name) for name in (*common, *options)}
    with measuring(cfg, args.checkpoint, kind, chosen, args.out, device) as (model, batches, file):
        yield model, batches, file
    print(f"results: {file.path}")
    print(next_command("landscape", "plot", file.path, "--out", file.path.with_suffix("")))


def add_surface_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
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
    parser.set_defaults(command=measure_surface)


_SURFACE = ("dimensions", "range", "points", "batch_norm", "include_vectors")


def measure_surface(args: argparse.Namespace) -> None:
    """Measure the points that the result file lacks; each one is written when it is done."""
    import numpy as np

    from gcp_mm.console.progress import Progress
    from gcp_mm.landscape.surface import losses_as_array, make_grid, surface

    low, high = args.range
    grid = make_grid(low, high, args.points, args.dimensions)
    with _measuring(args, "surface", _SURFACE) as (model, batches, file):
        results = file.results
        done = sum(loss is not None for row in results.get("losses", ()) for loss in row)
        total = len(grid.alphas) * len(grid.betas)
        print(f"{file.path}: {done} of {total} points are there")
        results.update(alphas=list(grid.alphas), betas=list(grid.betas))
        with Progress(total - done) as progress:

            def on_point() -> None:
                file.save()
                progress.update()

            surface(
                model,
                batches,
                grid,
                seed=args.seed,
                batch_norm=args.batch_norm,
                include_vectors=args.include_vectors,
                results=results,
                on_point=on_point,
            )
        losses = losses_as_array(results)
        gaps = int(np.isnan(losses).sum())
        print(
            f"loss {results['loss']:.4f} at the checkpoint, {np.nanmin(losses):.4f} to "
            f"{np.nanmax(losses):.4f} on the grid"
            f"{f', not finite at {gaps} points' if gaps else ''}"
        )


# What is above the bar of a stage; its steps are batches that have passed through the network.
_STAGES = {
    "start": "loss, gradient and first products with the Hessian, in batches",
    "eigenvalues": "eigenvalues, in batches (as many as it takes)",
    "trace": "trace, in batches",
    "density": "density, in batches",
}


def add_curvature_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "curvature",
        help="Hessian eigenvalues, trace and spectral density",
        description="Measure the Hessian of the loss at a checkpoint, with the running statistics "
        "of its batch norms. Needs curvlinops (pip install curvlinops-for-pytorch). Started again, "
        "it continues with the stage that was interrupted.",
    )
    add_measurement_arguments(parser)
    parser.add_argument("--top", type=int, default=5, help="number of the largest eigenvalues")
    parser.add_argument("--trace-samples", type=int, default=30, help="random vectors of the trace")
    parser.add_argument(
        "--lanczos-steps", type=int, default=80, help="Lanczos vectors of the density"
    )
    parser.add_argument(
        "--exact-below",
        type=int,
        default=EXACT_BELOW,
        metavar="P",
        help=f"form the whole matrix for at most P parameters (default {EXACT_BELOW})",
    )
    parser.set_defaults(command=measure_curvature)


_CURVATURE = ("top", "trace_samples", "lanczos_steps", "exact_below")


def measure_curvature(args: argparse.Namespace) -> None:
    """Measure what the result file lacks; each stage is written when it is done."""
    from gcp_mm.console.progress import Stages
    from gcp_mm.landscape.curvature import curvature

    with _measuring(args, "curvature", _CURVATURE) as (model, batches, file):
        with Stages(_STAGES) as stages:

            def on_stage(stage: str) -> None:
                file.save()
                stages.end()
                print(f"{stage}: done", flush=True)

            found = curvature(
                model,
                batches,
                seed=args.seed,
                results=file.results,
                on_stage=on_stage,
                on_pass=stages,
                **{name: getattr(args, name) for name in _CURVATURE},
            )
        if found["unused"]:
            names = abbreviate(found["unused"])
            print(f"left out, because the loss does not depend on them: {names}")
        print(
            f"{found['parameters']} parameters, {'exact' if found['exact'] else 'estimated'}\n"
            f"largest eigenvalues {', '.join(f'{value:.4g}' for value in found['eigenvalues'])}\n"
            f"smallest eigenvalue {found['smallest_eigenvalue']:.4g}\n"
            f"trace {found['trace']:.4g}, standard error {found['trace_standard_error']:.2g}"
        )
