"""What happens to a config before the model is built: checks that save a long wait, and hooks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.runner import find_latest_checkpoint

from gcp_mm.checkpoints.file_kind import is_safetensors
from gcp_mm.checkpoints.form import check_training
from gcp_mm.checkpoints.loader import UNSAFE_SWITCH, load_from_file
from gcp_mm.checkpoints.pretrained import PRETRAINED, check_pretrained_exists
from gcp_mm.console.command_names import command_line
from gcp_mm.errors import CheckpointNotFoundError, FileWriteError, UserError
from gcp_mm.files import why_absent

_LAYOUTS = {
    "mmdet": "DATA_ROOT/{annotations/instances_{train,val}2017.json,train2017/,val2017/}",
    "mmpretrain": "DATA_ROOT/{train,val}/<class>/<image>",
    # Of a data set that has its own.
    "CUB": "DATA_ROOT/{images/,images.txt,image_class_labels.txt,train_test_split.txt}",
    "FGVCAircraft": "DATA_ROOT/data/{images/,images_variant_{trainval,test}.txt}",
    "StanfordCars": "DATA_ROOT/{car_ims/,cars_annos.mat}",
}


def _datasets(cfg: dict, key: str) -> Iterator[tuple[str, dict]]:
    """Yield the innermost data sets of a loader with their keys, as --cfg-options takes them."""
    if "dataset" in cfg:
        yield from _datasets(cfg["dataset"], f"{key}.dataset")
    elif "datasets" in cfg:
        for index, dataset in enumerate(cfg["datasets"]):
            yield from _datasets(dataset, f"{key}.datasets.{index}")
    else:
        yield key, cfg


def _is_remote(path: str) -> bool:
    return "://" in path


def evaluate_every_image(cfg: Config) -> None:
    """Set ``test_mode`` of this package's data sets in the loaders of validation and test.

    Without it they replace an image that cannot be read by another one, as in training.
    """
    for loader in ("val_dataloader", "test_dataloader"):
        for _, dataset in _datasets(cfg[loader], loader) if cfg.get(loader) else ():
            if is_ours(dataset.get("type")):
                dataset["test_mode"] = True


def is_ours(kind: object) -> bool:
    """Say whether a type is of this package; configs in Python hold the class itself."""
    return (kind if isinstance(kind, str) else getattr(kind, "__module__", "")).startswith(
        "gcp_mm."
    )


# Under the scope of mmdet, the same with and without it.
_CHECKED = {"CocoDataset": "gcp_mm.CocoDataset", "CocoMetric": "gcp_mm.CocoMetric"}


def check_annotations(cfg: Config) -> None:
    """Let this package's classes read COCO-format files in place of mmdet's.

    They do the same with a file that is as COCO's own are, and check every other one; so a config
    that somebody wrote for mmdet alone is checked as this project's are. The hooks that compare
    the classes of the heads, and the data with the measure, are added to a config without them.
    """
    if cfg.get("default_scope") != "mmdet":
        return
    for stage in ("train", "val", "test"):
        loader, metrics = cfg.get(f"{stage}_dataloader"), cfg.get(f"{stage}_evaluator") or []
        parts = [dataset for _, dataset in _datasets(loader, "")] if loader else []
        parts += metrics if isinstance(metrics, (list, tuple)) else [metrics]
        for part in parts:
            name = _mmdet_name(part.get("type"))
            if name in _CHECKED:
                part["type"] = _CHECKED[name]
    add_missing_hooks(
        cfg, (dict(type="gcp_mm.NumClassesCheckHook"), dict(type="gcp_mm.CocoCheckHook"))
    )


def _mmdet_name(kind: object) -> str:
    """Return the name of a class of mmdet, which configs in Python hold as the class itself."""
    if isinstance(kind, str):
        return kind.removeprefix("mmdet.")
    is_upstream = str(getattr(kind, "__module__", "")).startswith("mmdet.")
    return getattr(kind, "__name__", "") if is_upstream else ""


def check_data(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Check that the folders and annotation files of the data loaders exist.

    So do the annotations of the metrics: COCO's name the file a second time.
    """
    scope = cfg.get("default_scope")
    for loader in loaders:
        if not cfg.get(loader):
            continue
        for key, dataset in _datasets(cfg[loader], loader):
            root = dataset.get("data_root") or ""
            if _is_remote(root):
                continue
            # Only for ImageNet's layout is the folder of a split called as the split is.
            by_split = name_of(dataset) in ("ImageNet", "ImageNet21k")
            prefix = dataset.get("data_prefix") or (by_split and dataset.get("split")) or ""
            prefixes = prefix.values() if isinstance(prefix, dict) else [prefix]
            parts = [("data_root", "")]
            parts += [("data_prefix", part) for part in prefixes]
            files = dataset.get("ann_file") or ""
            parts += [("ann_file", file) for file in ([files] if isinstance(files, str) else files)]
            parts += [("proposal_file", dataset.get("proposal_file") or "")]
            for name, part in parts:
                path = str(Path(root, part))
                _check_no_pickle(path, f"{key}.{name}")
                if not _is_remote(part) and not Path(path).exists():
                    known = _LAYOUTS.get(name_of(dataset)) or _LAYOUTS.get(scope)
                    layout = known or "see the config's data set class"
                    raise UserError(
                        f"{path!r} {why_absent(path, 'file or folder')} ({key}.{name}, working "
                        f"folder: {Path.cwd()}). Expected layout: {layout}. Link your data there "
                        f"(ln -s /path/to/data {root.rstrip('/') or 'data'}), or set {key}."
                        "data_root with --cfg-options"
                    )
        _check_metrics(cfg, loader.replace("dataloader", "evaluator"))


def _check_no_pickle(path: str, key: str) -> None:
    """Refuse annotations that mmengine would unpickle, and so run what is in them."""
    if path.endswith((".pkl", ".pickle")) and os.environ.get(UNSAFE_SWITCH) != "1":
        raise UserError(
            f"{path!r} ({key}) is a pickle, which can run anything when it is read: write it as "
            f"JSON. If you trust its origin, set {UNSAFE_SWITCH}=1"
        )


def _check_metrics(cfg: Config, evaluator: str) -> None:
    metrics = cfg.get(evaluator) or {}
    several = isinstance(metrics, (list, tuple))
    for index, metric in enumerate(metrics if several else [metrics]):
        key = f"{evaluator}.{index}.ann_file" if several else f"{evaluator}.ann_file"
        path = metric.get("ann_file")
        if path and not _is_remote(path) and not Path(path).exists():
            raise UserError(
                f"{path!r} {why_absent(path)} ({key}, working folder: {Path.cwd()}). It has to be "
                f"the ann_file of the data that are evaluated; set it with --cfg-options {key}=PATH"
            )


def check_folder(folder: str | Path, what: str) -> None:
    """Make a folder, if it is not there, and check that it can be written to."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(1 << 16))
            file.flush()
    except OSError as error:
        raise FileWriteError.of(error, f"{what} {str(folder)!r} cannot be written to") from error


def check_pretrained(part: object, key: str = "model") -> None:
    """Check that every pretrained file that a model's config names exists."""
    if isinstance(part, (list, tuple)):
        part = dict(enumerate(part))
    if not isinstance(part, dict):
        return
    if part.get("type") in PRETRAINED:
        check_pretrained_exists(part["checkpoint"], key)
    for name, value in part.items():
        check_pretrained(value, f"{key}.{name}")


def check_start(cfg: Config, required: bool | None = None) -> None:
    """Check that the weights a training starts from are there, by default if a hook requires it."""
    source, resume = cfg.get("load_from"), cfg.get("resume", False)
    if source:
        if resume and _holds_weights_alone(source):
            raise UserError(
                f"{source!r} holds weights, and no training to continue: name a checkpoint of the "
                "run (--resume work_dirs/NAME/epoch_N.pth), or start a new one from these weights "
                f"(--cfg-options load_from={source})"
            )
        if not resume and not _is_remote(source) and not Path(source).expanduser().is_file():
            raise CheckpointNotFoundError(
                f"the file {source!r} of pretrained weights {why_absent(source)} (load_from, "
                f"working folder: {Path.cwd()}). Convert published weights "
                f"({command_line('convert')} SRC {source}), or name a checkpoint that you have "
                "(--cfg-options load_from=PATH)"
            )
        return
    if required is None:
        hooks = cfg.get("custom_hooks") or []
        required = any(name_of(hook) == "PretrainedRequiredHook" for hook in hooks)
    if not required or _has_pretrained_backbone(cfg.model):
        return
    if resume and find_latest_checkpoint(cfg.work_dir):
        return
    raise UserError(
        "this config fine-tunes a pretrained network, but load_from is empty and there is no run "
        "to continue: training from random weights would give a poor result without a warning. "
        "Name the weights (--cfg-options load_from=checkpoints/NAME.pth; "
        f"{command_line('convert')} SRC checkpoints/NAME.pth makes that file from published "
        "ones), or train from scratch with a config of configs/imagenet"
    )


def _holds_weights_alone(source: str) -> bool:
    """Say whether a checkpoint has no state of a training, as published and the best ones."""
    if is_safetensors(source):
        return True
    if _is_remote(source):
        return False
    content = load_from_file(source, "meta")
    # Without the optimizer mmengine would go on, with the schedule at its beginning.
    if not isinstance(content, dict) or not {"message_hub", "optimizer"} <= content.keys():
        return True
    check_training(content, source)
    return False


def _has_pretrained_backbone(model: dict) -> bool:
    """Say whether the backbone loads a file, and would fail if that covered too little of it.

    Only this package's backbones do; those of mmpretrain load what fits, if only nothing.
    """
    backbone = model.get("backbone") or {}
    if not is_ours(backbone.get("type")):
        return False
    if name_of(backbone) == "TIMMBackbone" and backbone.get("pretrained"):
        return True
    given = backbone.get("init_cfg") or []
    return any(
        init_cfg.get("type") in PRETRAINED
        for init_cfg in ([given] if isinstance(given, dict) else given)
    )


# `custom_hooks` of a config replace those of its base, and those of mmdet and mmpretrain have none.
_EVERY_RUN = (
    dict(type="gcp_mm.FiniteCheckHook"),
    dict(type="gcp_mm.FeatureMapCheckHook"),
    dict(type="gcp_mm.LogIntervalHook"),
    dict(type="gcp_mm.LoaderWorkersHook"),
)
_TRAINING = (
    # Networks that are not this project's are often initialised in part on purpose.
    dict(type="gcp_mm.PretrainedCoverageHook", strict=False),
    dict(type="gcp_mm.PixelCheckHook"),
    dict(type="gcp_mm.ResumeCheckHook"),
)


def add_hooks(cfg: Config, training: bool) -> None:
    """Add the checks to a config, and have its checkpoints written by this project's hook.

    What the config has already stays as it is, and so does a checkpoint hook of another kind.
    """
    add_missing_hooks(cfg, (*_EVERY_RUN, *(_TRAINING if training else ())))
    # Without an entry mmengine's runner takes its own; None leaves it out.
    if cfg.get("default_hooks") is None:
        cfg.default_hooks = {}
    cfg.default_hooks.setdefault("checkpoint", dict(type="CheckpointHook"))
    checkpoint = cfg.default_hooks.checkpoint
    if isinstance(checkpoint, dict) and _is_mmengines(checkpoint.get("type")):
        checkpoint["type"] = "gcp_mm.CheckpointHook"
        if checkpoint.get("out_dir") is None and checkpoint.get("file_client_args") is None:
            checkpoint.setdefault("backend_args", dict(backend="gcp_mm_atomic"))


def add_missing_hooks(cfg: Config, wanted: Sequence[dict]) -> None:
    """Add hooks of which a config has none of their class."""
    hooks = list(cfg.get("custom_hooks") or [])
    present = {name_of(hook) for hook in hooks}
    cfg.custom_hooks = hooks + [dict(hook) for hook in wanted if name_of(hook) not in present]


def _is_mmengines(kind: object) -> bool:
    """Say whether a type is mmengine's checkpoint hook, by its name, its path or itself."""
    if isinstance(kind, str):
        package, _, name = kind.rpartition(".")
        return name == "CheckpointHook" and package.partition(".")[0] in ("", "mmengine")
    return kind is CheckpointHook


def name_of(hook: object) -> str:
    """Return the name of a hook's class; a config may hold a hook that is built already."""
    kind = hook["type"] if isinstance(hook, dict) else type(hook)
    return kind.rpartition(".")[2] if isinstance(kind, str) else kind.__name__
