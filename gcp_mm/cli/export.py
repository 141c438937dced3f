"""Export a trained classifier to ONNX, torch.export or TorchScript, and check the file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gcp_mm.console.run_command import run_command
from gcp_mm.engine.config import add_common_arguments, load_config


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line, export and print what was written."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    add_common_arguments(parser)
    parser.add_argument("checkpoint", help="weights of the classifier")
    parser.add_argument("out", help="file to write: *.onnx, *.pt2 (torch.export) or *.pt (trace)")
    parser.add_argument(
        "--format",
        choices=["onnx", "torch-export", "torchscript"],
        help="by default what the name of the file ends in",
    )
    parser.add_argument(
        "--input-size",
        type=int,
        nargs="+",
        metavar="PIXELS",
        help="height and width, or one number for both (default: that of the test pipeline)",
    )
    parser.add_argument(
        "--batch-size", type=int, metavar="N", help="fix the batch size (default: any)"
    )
    parser.add_argument("--scores", action="store_true", help="softmax scores, not logits")
    parser.add_argument(
        "--include-preprocessing",
        action="store_true",
        help="take pixels of 0 to 255 and normalise them in the file (default: mean and std are "
        "texts in the file, and the caller applies them)",
    )
    parser.add_argument(
        "--image",
        nargs="+",
        default=[],
        metavar="FILE",
        help="compare on these images as well as on random ones",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-5,
        help="largest difference from the PyTorch network, relative to its largest output "
        "(default: 1e-5); with a larger one the file is not kept",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    args = parser.parse_args(argv)
    size = args.input_size
    if size is not None and len(size) > 2:
        parser.error(f"--input-size takes one or two numbers, not {len(size)}")

    def command() -> None:
        from gcp_mm.export import export_classifier

        cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher, ["model"])
        lines = export_classifier(
            cfg,
            args.checkpoint,
            args.out,
            form=args.format,
            input_size=size and (size[0], size[-1]),
            batch_size=args.batch_size,
            scores=args.scores,
            normalise=args.include_preprocessing,
            images=args.image,
            tolerance=args.tolerance,
            force=args.force,
        )
        print("\n".join(lines))

    run_command(command)
