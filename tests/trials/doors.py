"""The doors through which files come in: commands and functions that read weights or settings."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from forked import command
from inputs import CLASSES, SIZE, Inputs

Door = Callable[[Inputs, Path, Path], Callable[[], object]]


def _program(*arguments: object) -> Door:
    """Return a door that is a command line, with the words in capitals replaced in it."""

    def door(inputs: Inputs, file: Path, out: Path) -> Callable[[], object]:
        values = {
            "CONFIG": inputs.config,
            "CHECKPOINT": inputs.checkpoint,
            "TREE": inputs.tree("imagenet-c"),
            "FILE": file,
            "OUT": out,
        }
        pattern = re.compile(rf"\b({'|'.join(values)})\b")
        return command(
            *(pattern.sub(lambda match: str(values[match[1]]), str(part)) for part in arguments)
        )

    return door


def _function(call: Callable[[Inputs, Path], object]) -> Door:
    """Return a door that is a function; what it raises is told in one line, as commands do."""

    def door(inputs: Inputs, file: Path, out: Path) -> Callable[[], object]:
        def work() -> None:
            try:
                print(call(inputs, file))
            except Exception as error:  # libraries raise dozens of types here
                print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
                raise SystemExit(2) from None

        return work

    return door


def _load_checkpoint(inputs: Inputs, file: Path) -> object:
    from mmengine.runner.checkpoint import CheckpointLoader

    return sorted(CheckpointLoader.load_checkpoint(str(file), map_location="cpu"))


def _classify(inputs: Inputs, file: Path) -> object:
    from mmpretrain.apis import ImageClassificationInferencer

    inferencer = ImageClassificationInferencer(str(inputs.config), str(file), device="cpu")
    image = next((inputs.images / "val").glob("*/*.png"))
    return inferencer(str(image))[0]["pred_scores"].tolist()


def _get_model(inputs: Inputs, file: Path) -> object:
    from mmpretrain.apis import get_model

    return get_model(str(inputs.config), pretrained=str(file), device="cpu").head.fc.weight.sum()


def _detect_with_weights_alone(inputs: Inputs, file: Path) -> object:
    from mmdet.apis import DetInferencer

    return DetInferencer(weights=str(file), device="cpu").model


def _init_detector(inputs: Inputs, file: Path) -> object:
    from mmdet.apis import init_detector

    import gcp_mm.registry  # noqa: F401  (its models)
    from gcp_mm.engine.config import load_config

    cfg = load_config(str(inputs.repo / "configs" / "demo" / "mask_rcnn_r18_gcpm_scenes.py"))
    cfg.model.backbone.init_cfg = None
    return init_detector(cfg, str(file), device="cpu")


_MEASURE = ("--split", "val", "--batch-size", 4, "--work-dir", "OUT/work", "--out", "OUT/out.json")

# Everything that reads weights.
WEIGHTS: dict[str, Door] = {
    "train --resume": _program("train", "CONFIG", "--resume", "FILE", "--work-dir", "OUT/work"),
    "train load_from": _program(
        *("train", "CONFIG", "--work-dir", "OUT/work"),
        *("--cfg-options", "load_from=FILE", "train_cfg.max_epochs=1"),
    ),
    "train init_cfg": _program(
        *("train", "CONFIG", "--work-dir", "OUT/work", "--cfg-options"),
        *("train_cfg.max_epochs=1", "model.backbone.init_cfg.type=Pretrained"),
        *("model.backbone.init_cfg.prefix=backbone.", "model.backbone.init_cfg.checkpoint=FILE"),
    ),
    "test": _program("test", "CONFIG", "FILE", "--work-dir", "OUT/work"),
    "convert": _program("convert", "FILE", "OUT/converted.pth"),
    "convert --weights-only": _program("convert", "FILE", "OUT/w.pth", "--weights-only"),
    "export": _program("export", "CONFIG", "FILE", "OUT/m.pt", "--input-size", SIZE, SIZE),
    "zoo --from-file": _program(
        "zoo", "download", "resnet18_gcp_lrnorm", "--from-file", "FILE", "--out", "OUT/row.pth"
    ),
    "landscape curvature": _program(
        "landscape", "curvature", "CONFIG", "FILE", *_MEASURE, "--device", "cpu"
    ),
    "landscape probe": _program(
        *("landscape", "probe", "CONFIG", "FILE", "--etas", 0.1, 0.2, 2, "--batch-size", 4),
        *("--work-dir", "OUT/work", "--out", "OUT/probe.jsonl"),
    ),
    "robustness run": _program(
        *("robustness", "run", "CONFIG", "FILE", "--dataset", "imagenet-c", "--corruptions", "fog"),
        *("--severities", 1, "--data-root", "TREE", "--input-size", SIZE, "--workers", 0),
        *("--batch-size", 4, "--device", "cpu", "--out", "OUT/out.json"),
    ),
    "load_checkpoint": _function(_load_checkpoint),
    "ImageClassificationInferencer": _function(_classify),
    "get_model": _function(_get_model),
    "DetInferencer(weights)": _function(_detect_with_weights_alone),
    "init_detector": _function(_init_detector),
}

# Those that the weights of the small classifier go through: it is no detector and no row of the
# zoo, has no training to continue and group norm, which has no curvature here, and is in
# mmpretrain's layout already.
OPEN_TO_WEIGHTS = (
    *("train load_from", "train init_cfg", "test", "convert --weights-only", "export"),
    *("landscape probe", "robustness run", "load_checkpoint", "get_model"),
    "ImageClassificationInferencer",
)

# Everything that reads settings, labels or results.
TEXTS: dict[str, Door] = {
    "train CONFIG": _program("train", "FILE", "--work-dir", "OUT/work"),
    "test CONFIG": _program("test", "FILE", "CHECKPOINT", "--work-dir", "OUT/work"),
    "schedules": _program("schedules", "OUT/lr.svg", "--configs", "FILE"),
    "robustness report": _program("robustness", "report", "FILE", "--out", "OUT/report"),
    "robustness merge": _program("robustness", "merge", "FILE", "--out", "OUT/merged.json"),
    "robustness --baseline": _program(
        *("robustness", "run", "CONFIG", "CHECKPOINT", "--dataset", "imagenet-c"),
        *("--corruptions", "fog", "--severities", 1, "--data-root", "TREE", "--input-size", SIZE),
        *("--workers", 0, "--batch-size", 4, "--device", "cpu", "--out", "OUT/out.json"),
        *("--baseline", "FILE"),
    ),
    "landscape plot": _program("landscape", "plot", "FILE", "--out", "OUT/figure"),
    "compare": _program(
        "compare", "FILE", "--figure", "OUT/curves.svg", "--json", "OUT/curves.json"
    ),
    "train ann_file": _program(
        *("train", "CONFIG", "--work-dir", "OUT/work", "--cfg-options"),
        *("train_dataloader.dataset.type=gcp_mm.ClassFolder", "train_cfg.max_epochs=1"),
        f"train_dataloader.dataset.classes=[{','.join(CLASSES)}]",
        "train_dataloader.dataset.ann_file=FILE",
    ),
}
