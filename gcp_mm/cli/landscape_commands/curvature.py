"""`curvature CONFIG CKPT`: the Hessian of the loss at a checkpoint."""

from __future__ import annotations

import argparse

from gcp_mm.cli.landscape_commands.choices import EXACT_BELOW
from gcp_mm.cli.landscape_commands.measurement import (
    Measurement,
    add_measurement_arguments,
    prepare,
)
from gcp_mm.console.command_names import next_command
from gcp_mm.files import abbreviate
from gcp_mm.locks import hold_file

# What is above the bar of a stage; its steps are batches that have passed through the network.
_STAGES = {
    "start": "loss, gradient and first products with the Hessian, in batches",
    "eigenvalues": "eigenvalues, in batches (as many as it takes)",
    "trace": "trace, in batches",
    "density": "density, in batches",
}


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command.

    Args:
        subparsers: Those of the tool.
    """
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
    parser.set_defaults(command=command)


def command(args: argparse.Namespace) -> None:
    """Measure what the result file lacks; each stage is written when it is done.

    Args:
        args: The parsed command line.

    Raises:
        UserError: If something is missing, does not fit, or belongs to another measurement.
    """
    measurement = prepare(args, "curvature")
    with hold_file(measurement.out, "is being written", "wait for it, or choose another --out"):
        _measure(args, measurement)


def _measure(args: argparse.Namespace, measurement: Measurement) -> None:
    # Imported here, because they take seconds and --help should not.
    from gcp_mm.console.progress import Stages
    from gcp_mm.landscape.curvature import curvature
    from gcp_mm.landscape.result_file import ResultFile

    options = {
        "top": args.top,
        "trace_samples": args.trace_samples,
        "lanczos_steps": args.lanczos_steps,
        "exact_below": args.exact_below,
    }
    file = ResultFile(measurement.out, "curvature", {**measurement.settings, **options})
    file.results["checkpoint"] = str(args.checkpoint)

    with Stages(_STAGES) as stages:

        def on_stage(stage: str) -> None:
            file.save()
            stages.end()
            print(f"{stage}: done", flush=True)

        found = curvature(
            measurement.model,
            measurement.batches,
            seed=args.seed,
            results=file.results,
            on_stage=on_stage,
            on_pass=stages,
            **options,
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
    print(f"results: {measurement.out}")
    print(
        next_command("landscape", "plot", measurement.out, "--out", measurement.out.with_suffix(""))
    )
