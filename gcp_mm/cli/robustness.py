"""Evaluate a classifier on ImageNet-C or ImageNet-P; merge, compare and measure baselines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.console.command_names import next_command
from gcp_mm.console.run_command import run_command
from gcp_mm.engine.config import add_common_arguments, load_config
from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.result_form import DATASETS
from gcp_mm.robustness.names import DIFFICULTIES, SEVERITIES

if TYPE_CHECKING:
    from mmengine.config import Config

    from gcp_mm.robustness.evaluation.options import Options

# As in the modules that take them, which need seconds to import; a test compares.
ALEXNET = "alexnet"
BACKENDS = ("pillow", "cv2")
DTYPES = ("float32", "tf32", "bfloat16", "float16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says how cells are measured."""
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
    parser.add_argument("--device", help="such as cuda:0; by default the GPU if there is one")
    parser.add_argument(
        "--batch-size", type=int, default=128, help="images or frames (default 128)"
    )
    parser.add_argument("--workers", type=int, default=4, help="per process (default 4)")


def read_arguments(args: argparse.Namespace, out: Path | None) -> tuple[Config, Options]:
    """Turn the command line into a config and options."""
    from gcp_mm.robustness.evaluation.baselines import alexnet_config
    from gcp_mm.robustness.evaluation.options import Options, parse_shard

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
    files = ("dataset", "names", "num_samples", "clean_root", "clean", "clean_error", "baseline")
    network = ("input_size", "dtype", "device", "batch_size", "workers")
    return cfg, Options(
        data_root=args.data_root or Path("data") / args.dataset,
        out=out,
        name=args.name or Path(args.config).stem,
        shard=shard,
        severities=args.severities or SEVERITIES,
        difficulty=args.difficulty or 1,
        decoder=args.decoder or "pillow",
        **{name: getattr(args, name) for name in (*files, *network)},
    )


def shard_file(dataset: str, shard: tuple[int, int] | None) -> str:
    """Return the default name of a result file, of part (i, n) or of all."""
    return f"{dataset}_shard{shard[0]}of{shard[1]}.json" if shard else f"{dataset}.json"


def add_baseline_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "baseline",
        help="measure AlexNet or another network as a baseline",
        description="Evaluate a network and write a file for --baseline. CONFIG is 'alexnet' for "
        "torchvision's AlexNet (weights: alexnet-owt-7be5be79.pth), the config of another network, "
        "or a complete result file (.json), which is written as a baseline without measuring. "
        "AlexNet's top-5 distances on ImageNet-P were never published: mT5D needs this file.",
    )
    add_common_arguments(parser)
    parser.add_argument("checkpoint", nargs="?", help="weights")
    parser.add_argument("--out", type=Path, required=True, help="baseline file to write (.json)")
    parser.add_argument(
        "--result", type=Path, help="result file, continued after an interruption (default: beside)"
    )
    add_arguments(parser)
    parser.set_defaults(command=measure_baseline)


def measure_baseline(args: argparse.Namespace) -> None:
    """Measure, or take a result, and write the baseline."""
    from mmengine.dist import get_rank

    from gcp_mm.robustness.evaluation.baselines import check_options, check_target, write_baseline
    from gcp_mm.robustness.evaluation.evaluate import evaluate
    from gcp_mm.robustness.evaluation.result import read_result

    if args.checkpoint is None:
        if not args.config.endswith(".json"):
            raise UserError("baseline needs CONFIG and CHECKPOINT, or one result file (.json)")
        check_target(args.out, Path(args.config))
        content = read_result(args.config)
    else:
        name = args.out.name.removesuffix(".json")
        result = args.result or args.out.with_name(f"{name}_result.json")
        check_target(args.out, result)
        cfg, options = read_arguments(args, result)
        check_options(options)
        content = evaluate(cfg, args.checkpoint, options)
    if get_rank() == 0:
        write_baseline(content, args.out)
        print(f"results: {args.out}")
        settings = content["settings"]
        data = ["--dataset", content["dataset"], "--baseline", args.out]
        if args.data_root:
            data += ["--data-root", args.data_root]
        if settings.get("input_size") and not settings["transform"][1].startswith("require"):
            data += ["--input-size", settings["input_size"]]
        print(next_command("robustness", "CONFIG", "CHECKPOINT", *data))


def add_merge_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "merge",
        help="add up result files of --shard",
        description="Put the result files of all shards together; the counts are those of one "
        "evaluation without shards.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="of all shards")
    parser.add_argument("--out", type=Path, required=True, help="result file to write")
    parser.add_argument("--baseline", metavar="FILE", help="default: that of the shards")
    parser.set_defaults(command=merge_shards)


def merge_shards(args: argparse.Namespace) -> None:
    """Merge and print the measures."""
    from gcp_mm.robustness.evaluation.merge import merge
    from gcp_mm.robustness.report.write import summary

    print(f"{summary(merge(args.files, args.out, args.baseline))}\nresults: {args.out}")
    print(next_command("robustness", "report", args.out))


def add_report_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "report",
        help="a page, tables, CSV and figures; compares networks",
        description="Write report.html, a page with all the others, report.md, report.csv and "
        "figures of result files. Files of one name "
        "on ImageNet-C and on ImageNet-P become one row.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="RESULT", help="result files")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder to write (default: 'report' beside the first RESULT)",
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        default=["png", "pdf"],
        metavar="F",
        help="of the figures: png, pdf, svg (default: png pdf)",
    )
    parser.add_argument("--names", nargs="+", help="names in the report, one for each RESULT")
    parser.add_argument(
        "--published",
        nargs="+",
        default=[],
        metavar="ROW",
        help="published rows beside them: 'all' or names such as resnet50_gcp_lrnorm, "
        "torchvision_resnet50",
    )
    parser.set_defaults(command=compare_networks)


def compare_networks(args: argparse.Namespace) -> None:
    """Write the report and print its first table."""
    from gcp_mm.robustness.report import read_models, write_report
    from gcp_mm.robustness.report.models import find_robustness
    from gcp_mm.robustness.report.tables import overview
    from gcp_mm.robustness.report.values import long_table

    models = read_models(args.files, args.names)
    published = find_robustness(args.published)
    folder = args.out or args.files[0].parent / "report"
    written = write_report(models, folder, published, args.formats)
    print(overview(models, long_table(models, published)))
    print(f"results: {', '.join(map(str, written))}")
    if not args.published:
        # Into the same folder, under the same names.
        out = ("--out", args.out) if args.out else ()
        names = ("--names", *args.names) if args.names else ()
        print(next_command("robustness", "report", *args.files, *out, *names, "--published", "all"))


def add_run_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "run",
        help="evaluate CONFIG CHECKPOINT; the word may be left out",
        description="Measure the cells of ImageNet-C or ImageNet-P that the result file lacks. "
        "Started again after an interruption, it continues. CONFIG 'alexnet' is torchvision's.",
    )
    add_common_arguments(parser)
    parser.add_argument("checkpoint", help="weights to evaluate")
    parser.add_argument(
        "--out", type=Path, help="result file (default: WORK_DIR/robustness/DATASET.json)"
    )
    add_arguments(parser)
    parser.set_defaults(command=evaluate_network)


def evaluate_network(args: argparse.Namespace) -> None:
    """Evaluate and print the measures."""
    from mmengine.dist import get_rank

    from gcp_mm.robustness.evaluation.evaluate import evaluate
    from gcp_mm.robustness.report.write import summary

    cfg, options = read_arguments(args, args.out)
    content = evaluate(cfg, args.checkpoint, options)
    if get_rank() == 0:
        print(f"{summary(content)}\nresults: {options.out}")
        if options.shard:
            target = options.out.with_name(f"{options.dataset}.json")
            parts = [(part, options.shard[1]) for part in range(options.shard[1])]
            names = [options.out.with_name(shard_file(options.dataset, part)) for part in parts]
            # With --out the others may be anywhere.
            shards = ["SHARD..."] if args.out else names
            print(next_command("robustness", "merge", *shards, "--out", target))
        else:
            print(next_command("robustness", "report", options.out))


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Parse the command line and run one command."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog="Without a command: CONFIG CHECKPOINT --dataset imagenet-c|imagenet-p [options], "
        "see `run --help`.",
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for add_parser in (add_run_parser, add_merge_parser, add_baseline_parser, add_report_parser):
        add_parser(subparsers)
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] not in (*subparsers.choices, "-h", "--help"):
        arguments.insert(0, "run")
    args = parser.parse_args(arguments)
    run_command(lambda: args.command(args))
