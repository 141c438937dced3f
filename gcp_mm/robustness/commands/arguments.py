"""The arguments of an evaluation, shared by `run` and `baseline`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.engine.config import load_config
from gcp_mm.errors import UserError
from gcp_mm.evaluation.corruptions import SEVERITIES
from gcp_mm.evaluation.perturbations import DIFFICULTIES
from gcp_mm.robustness.result_form import DATASETS

if TYPE_CHECKING:
    from mmengine.config import Config

    from gcp_mm.robustness.options import Options

# As in the modules that take them, which need seconds to import; a test compares.
ALEXNET = "alexnet"
BACKENDS = ("pillow", "cv2")
DTYPES = ("float32", "tf32", "bfloat16", "float16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says how cells are measured.

    Args:
        parser: The parser of a command.
    """
    parser.add_argument("--dataset", choices=DATASETS, help="what is evaluated")
    parser.add_argument("--data-root", type=Path, help="the tree (default: data/DATASET)")
    parser.add_argument("--name", help="name in tables (default: that of the config)")
    parser.add_argument(
        "--corruptions",
        "--perturbations",
        dest="names",
        nargs="+",
        default=["benchmark"],
        metavar="NAME",
        help="'benchmark' (the 15 or the 10), 'all' (19), noise, blur, weather, digital, extra, "
        "or names",
    )
    parser.add_argument(
        "--severities", type=int, nargs="+", metavar="N", help="of ImageNet-C (default: all)"
    )
    parser.add_argument(
        "--difficulty", type=int, choices=DIFFICULTIES, help="of ImageNet-P (default 1)"
    )
    parser.add_argument(
        "--num-samples", type=int, metavar="N", help="files of each cell; not comparable"
    )
    parser.add_argument(
        "--shard", metavar="I/N", help="only the I-th of N parts, I from 0; `merge`"
    )
    parser.add_argument("--clean-root", type=Path, metavar="DIR", help="measure clean images too")
    parser.add_argument("--clean", action="store_true", help="the same on the config's test data")
    parser.add_argument("--clean-error", type=float, metavar="E", help="known clean error, 0 to 1")
    parser.add_argument(
        "--baseline", default="alexnet", metavar="FILE", help="default: alexnet, as published"
    )
    parser.add_argument(
        "--input-size", type=int, metavar="S", help="resize to S x S (default: refuse all but 224)"
    )
    parser.add_argument("--decoder", choices=BACKENDS, help="of ImageNet-C (default pillow)")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="default: float32")
    parser.add_argument("--device", help="default: the GPU if there is one")
    parser.add_argument(
        "--batch-size", type=int, default=128, help="images or frames (default 128)"
    )
    parser.add_argument("--workers", type=int, default=4, help="per process (default 4)")


def read_arguments(args: argparse.Namespace, out: Path | None) -> tuple[Config, Options]:
    """Turn the command line into a config and options.

    Args:
        args: From :func:`add_arguments` and ``add_common_arguments``.
        out: The result file; None for ``WORK_DIR/robustness/DATASET.json``.

    Returns:
        The config, with ``launcher``, and the options.

    Raises:
        UserError: If the config cannot be read or an option is wrong.
    """
    from gcp_mm.robustness.alexnet import alexnet_config
    from gcp_mm.robustness.options import Options, parse_shard

    if args.dataset is None:
        raise UserError(f"--dataset is missing: one of {', '.join(DATASETS)}")
    if args.config == ALEXNET:
        cfg = alexnet_config()
        cfg.launcher, cfg.work_dir = args.launcher, args.work_dir or f"work_dirs/{ALEXNET}"
    else:
        cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher, ["model"])
    shard = parse_shard(args.shard) if args.shard else None
    if out is None:
        out = Path(cfg.work_dir) / "robustness" / shard_file(args.dataset, shard)
    other = ("difficulty",) if args.dataset == "imagenet-c" else ("severities", "decoder")
    for name in other:
        if getattr(args, name) is not None:
            raise UserError(f"--{name} has no effect on {args.dataset}; leave it out")
    shared = ("dataset", "names", "num_samples", "clean_root", "clean", "clean_error", "baseline")
    shared += ("input_size", "dtype", "device", "batch_size")
    return cfg, Options(
        data_root=args.data_root or Path("data") / args.dataset,
        out=out,
        name=args.name or Path(args.config).stem,
        shard=shard,
        workers=args.workers,
        severities=args.severities or SEVERITIES,
        difficulty=args.difficulty or 1,
        decoder=args.decoder or "pillow",
        **{name: getattr(args, name) for name in shared},
    )


def shard_file(dataset: str, shard: tuple[int, int] | None) -> str:
    """Return the default name of a result file.

    Args:
        dataset: What is evaluated.
        shard: Which part (i, n) of it; None for all.
    """
    return f"{dataset}_shard{shard[0]}of{shard[1]}.json" if shard else f"{dataset}.json"
