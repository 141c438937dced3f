"""Before a model is built, missing data and weights are found, and checks added to every config."""

import tempfile
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EmptyCacheHook

from gcp_mm.datasets import ImageNet
from gcp_mm.engine.preflight import (
    add_hooks,
    check_annotations,
    check_data,
    check_folder,
    check_pretrained,
    check_start,
    evaluate_every_image,
    name_of,
)
from gcp_mm.errors import CheckpointNotFoundError, UserError
from gcp_mm.models.classification import GCPResNet


@pytest.fixture
def coco(tmp_path):
    """A data set in COCO's layout, without content."""
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/train.json").touch()
    (tmp_path / "train2017").mkdir()
    return {
        "type": "CocoDataset",
        "data_root": f"{tmp_path}/",
        "ann_file": "annotations/train.json",
        "data_prefix": {"img": "train2017/"},
    }


def config(dataset, scope="mmdet", **more):
    return Config({"default_scope": scope, "train_dataloader": {"dataset": dataset}, **more})


WRAPPERS = {
    "": lambda dataset: dataset,
    ".dataset": lambda dataset: {"type": "RepeatDataset", "times": 2, "dataset": dataset},
    ".datasets.0": lambda dataset: {"type": "ConcatDataset", "datasets": [dataset]},
    ".dataset.datasets.0": lambda dataset: {
        "type": "ClassBalancedDataset",
        "dataset": {"type": "ConcatDataset", "datasets": [dataset]},
    },
}
DAMAGE = {
    "data_root": ({"data_root": "/no/such/folder/"}, "/no/such/folder'"),
    "ann_file": ({"ann_file": "annotations/absent.json"}, "/annotations/absent.json'"),
    "data_prefix": ({"data_prefix": {"img": "train2017/", "seg": "absent/"}}, "/absent'"),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_complete_data_pass(coco, wrapper):
    check_data(config(WRAPPERS[wrapper](coco)), ("train_dataloader", "val_dataloader"))


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("setting", DAMAGE)
def test_missing_path_is_named_with_its_key(coco, wrapper, setting):
    change, path = DAMAGE[setting]
    with pytest.raises(UserError) as caught:
        check_data(config(WRAPPERS[wrapper]({**coco, **change})), ("train_dataloader",))
    message = str(caught.value)
    assert path.rstrip("/") in message
    assert f"train_dataloader.dataset{wrapper}.{setting}" in message
    assert f"set train_dataloader.dataset{wrapper}.data_root" in message
    assert "annotations/instances_{train,val}2017.json" in message


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_key_in_the_message_is_what_the_command_line_takes(coco, wrapper):
    cfg = config(WRAPPERS[wrapper]({**coco, "data_root": "/no/such/folder"}))
    with pytest.raises(UserError) as caught:
        check_data(cfg, ("train_dataloader",))
    key = str(caught.value).split("or set ")[1].split(" with")[0]
    cfg.merge_from_dict({key: coco["data_root"]})
    check_data(cfg, ("train_dataloader",))


def test_second_data_set_of_a_concatenation_is_checked(coco):
    both = {"type": "ConcatDataset", "datasets": [coco, {**coco, "data_root": "/no/such/folder"}]}
    with pytest.raises(UserError, match=r"dataset.datasets.1.data_root"):
        check_data(config(both), ("train_dataloader",))


@pytest.mark.parametrize("key", ["data_prefix", "split"])
def test_split_of_a_classification_set_is_checked(tmp_path, key):
    (tmp_path / "train").mkdir()
    dataset = {"type": "ImageNet", "data_root": str(tmp_path), key: "train"}
    check_data(config(dataset, "mmpretrain"), ("train_dataloader",))
    with pytest.raises(UserError, match="val.*DATA_ROOT/{train,val}/<class>/<image>"):
        check_data(config({**dataset, key: "val"}, "mmpretrain"), ("train_dataloader",))


@pytest.mark.parametrize("kind", ["CUB", "CIFAR10"])
def test_split_that_is_no_folder_is_not_looked_for(tmp_path, kind):
    dataset = {"type": kind, "data_root": str(tmp_path), "split": "train"}
    check_data(config(dataset, "mmpretrain"), ("train_dataloader",))


def test_each_of_several_annotation_files_is_checked(coco):
    check_data(config({**coco, "ann_file": [coco["ann_file"]] * 2}), ("train_dataloader",))
    with pytest.raises(UserError, match=r"absent.json' does not exist \(train_dataloader.dataset"):
        check_data(
            config({**coco, "ann_file": [coco["ann_file"], "absent.json"]}), ("train_dataloader",)
        )


@pytest.mark.parametrize(
    "change",
    [
        {"data_root": "s3://bucket/coco/"},
        {"data_root": None, "ann_file": "https://host/x.json", "data_prefix": {"img": "s3://x/"}},
        {"data_root": None, "ann_file": "", "data_prefix": {"img": ""}},
    ],
)
def test_remote_and_empty_paths_are_not_looked_at(coco, change):
    check_data(config({**coco, **change}), ("train_dataloader",))


def test_only_the_named_loaders_are_checked(coco):
    broken = {"dataset": {**coco, "data_root": "/no/such/folder"}}
    cfg = config(coco, val_dataloader=broken, test_dataloader=None)
    check_data(cfg, ("train_dataloader", "test_dataloader"))
    with pytest.raises(UserError, match="val_dataloader.dataset.data_root"):
        check_data(cfg, ("train_dataloader", "val_dataloader"))


@pytest.mark.parametrize("several", [False, True])
def test_annotations_of_the_metric_are_checked(coco, several):
    metric = {"type": "CocoMetric", "ann_file": coco["data_root"] + "annotations/val.json"}
    metrics = [{"type": "CocoMetric"}, metric] if several else metric
    cfg = config(coco, val_dataloader={"dataset": coco}, val_evaluator=metrics)
    check_data(cfg, ("train_dataloader",))
    with pytest.raises(UserError, match="annotations/val.json") as caught:
        check_data(cfg, ("val_dataloader",))
    option = str(caught.value).split("--cfg-options ")[1]
    cfg.merge_from_dict({option.removesuffix("=PATH"): coco["data_root"] + coco["ann_file"]})
    check_data(cfg, ("val_dataloader",))


@pytest.mark.parametrize(
    ("name", "root"),
    [("mask_rcnn_r50_gcpm", "data/coco"), ("imagenet/resnet50_gcp_lrnorm", "data/imagenet")],
)
def test_project_configs_name_their_data(repo, monkeypatch, tmp_path, name, root):
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile(repo / f"configs/{name}.py")
    with pytest.raises(UserError, match=f"'{root}/?' does not exist.*ln -s .* {root}"):
        check_data(cfg, ("train_dataloader",))


def test_pretrained_files_of_every_part_are_checked(tmp_path):
    (tmp_path / "x.pth").touch()

    def part(checkpoint):
        return {"type": "X", "init_cfg": {"type": "Pretrained", "checkpoint": str(checkpoint)}}

    model = {"type": "M", "backbone": part(tmp_path / "x.pth"), "neck": part("torchvision://r")}
    check_pretrained(model)
    model["teacher"] = {"type": "T", "backbone": part("absent.pth")}
    with pytest.raises(CheckpointNotFoundError, match="model.teacher.backbone.init_cfg.checkpoint"):
        check_pretrained(model)
    absent = [{"type": "Normal"}, {**part("absent.pth")["init_cfg"], "type": "mmengine.Pretrained"}]
    model["teacher"] = {"type": "T", "heads": [{"type": "H"}, {"type": "H", "init_cfg": absent}]}
    with pytest.raises(CheckpointNotFoundError, match=r"model.teacher.heads.1.init_cfg.1.check"):
        check_pretrained(model)
    model["teacher"] = {"type": "T", "init_cfg": {"type": "Normal", "std": 0.1}, "backbone": None}
    check_pretrained(model)


HOOK = {"type": "gcp_mm.PretrainedRequiredHook"}
PRETRAINED = {"type": "Pretrained", "checkpoint": "torchvision://x"}
IN_FULL = {**PRETRAINED, "type": "mmengine.Pretrained"}
STARTS = {
    "no hook": ({"custom_hooks": [{"type": "OtherHook"}]}, None),
    "no hooks": ({"custom_hooks": None}, None),
    "initialiser of the backbone": (
        {"model": {"backbone": {"type": "gcp_mm.GCPResNet", "init_cfg": PRETRAINED}}},
        None,
    ),
    "one of several": (
        {"model": {"backbone": {"type": "gcp_mm.X", "init_cfg": [{"type": "X"}, PRETRAINED]}}},
        None,
    ),
    "in full, of a class": (
        {"model": {"backbone": {"type": GCPResNet, "init_cfg": IN_FULL}}},
        None,
    ),
    # mmpretrain's backbones would load nothing of a file with other names, and say so nowhere.
    "initialiser of a backbone of mmpretrain": (
        {"model": {"backbone": {"type": "ConvNeXt", "init_cfg": PRETRAINED}}},
        "load_from is empty",
    ),
    "initialiser of the network": ({"model": {"init_cfg": PRETRAINED}}, "load_from is empty"),
    "address": ({"load_from": "https://host/x.pth"}, None),
    "path": ({"load_from": "{folder}/x.pth"}, None),
    "latest": ({"resume": True, "work_dir": "{folder}"}, None),
    "nothing": ({}, "load_from is empty"),
    "initialiser of the head": (
        {"model": {"head": {"init_cfg": PRETRAINED}}},
        "load_from is empty",
    ),
    "other initialiser": (
        {"model": {"backbone": {"type": "gcp_mm.X", "init_cfg": {"type": "Normal"}}}},
        "load_from is empty",
    ),
    "no run": ({"resume": True, "work_dir": "{folder}/absent"}, "no run to continue"),
    "no file": (
        {"load_from": "checkpoints/absent.pth", "custom_hooks": []},
        r"'checkpoints/absent.pth' of pretrained weights does not exist \(load_from, .*"
        "convert_checkpoint.py SRC "
        "checkpoints/absent.pth.*--cfg-options load_from=PATH",
    ),
    "no file to resume": ({"load_from": "absent.pth", "resume": True}, "training writes work_dirs"),
}


@pytest.mark.parametrize("case", STARTS)
def test_weights_to_start_from(tmp_path, case):
    change, message = STARTS[case]
    (tmp_path / "x.pth").touch()
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "x.pth"))
    cfg = Config({"model": {"type": "M"}, "custom_hooks": [HOOK], "work_dir": "/no/such", **change})
    for key in {"load_from", "work_dir"} & set(change):
        cfg[key] = change[key].replace("{folder}", str(tmp_path))
    if message is None:
        check_start(cfg)
    else:
        with pytest.raises(UserError, match=message):
            check_start(cfg)


@pytest.mark.parametrize("source", ["net.safetensors", "net.pth", "hf://owner/net/net.safetensors"])
def test_no_run_continues_from_weights_alone(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.safetensors").touch()
    # As --weights-only writes it: an epoch is no training to continue.
    torch.save({"meta": {"epoch": 3, "iter": 9}, "state_dict": {}}, tmp_path / "net.pth")
    check_start(Config({"model": {}, "load_from": source}))
    with pytest.raises(UserError, match=f"{source}' holds weights.*load_from={source}"):
        check_start(Config({"model": {}, "load_from": source, "resume": True}))


def test_weights_can_be_required_without_the_hook_in_the_config():
    with pytest.raises(UserError, match="load_from is empty"):
        check_start(Config({"model": {"type": "M"}}), required=True)


def test_evaluation_skips_no_image_whatever_the_config_says():
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=dict(type="gcp_mm.ClassFolder")),
            val_dataloader=dict(dataset=dict(dataset=dict(type="gcp_mm.ImageNet"))),
            test_dataloader=dict(dataset=dict(type="CustomDataset")),
        )
    )
    evaluate_every_image(cfg)
    assert cfg.val_dataloader.dataset.dataset.test_mode is True
    assert "test_mode" not in cfg.train_dataloader.dataset
    assert "test_mode" not in cfg.test_dataloader.dataset
    # As a config in Python has it.
    cfg.test_dataloader.dataset.type = ImageNet
    evaluate_every_image(cfg)
    assert cfg.test_dataloader.dataset.test_mode is True


class Upstream:
    """Stands for a class that a config in Python names."""


Upstream.__module__, Upstream.__name__ = "mmdet.datasets.coco", "CocoDataset"


def test_detection_data_are_read_by_the_checking_classes():
    data = dict(
        train_dataloader=dict(dataset=dict(dataset=dict(type="mmdet.CocoDataset"))),
        val_dataloader=dict(dataset=dict(datasets=[dict(type="CocoDataset"), dict(type="LVIS")])),
        test_dataloader=dict(dataset=dict(type=Upstream)),
        val_evaluator=[dict(type="CocoMetric"), dict(type="VOCMetric")],
        test_evaluator=dict(type="mmdet.CocoMetric"),
        custom_hooks=[dict(type="gcp_mm.CocoCheckHook"), EmptyCacheHook()],
    )
    cfg = Config(dict(default_scope="mmdet", **data))
    check_annotations(cfg)
    assert cfg.train_dataloader.dataset.dataset.type == "gcp_mm.CocoDataset"
    assert [d.type for d in cfg.val_dataloader.dataset.datasets] == ["gcp_mm.CocoDataset", "LVIS"]
    assert cfg.test_dataloader.dataset.type == "gcp_mm.CocoDataset"
    assert [metric.type for metric in cfg.val_evaluator] == ["gcp_mm.CocoMetric", "VOCMetric"]
    assert cfg.test_evaluator.type == "gcp_mm.CocoMetric"
    assert [name_of(hook) for hook in cfg.custom_hooks] == [
        *("CocoCheckHook", "EmptyCacheHook", "NumClassesCheckHook")
    ]
    other = Config(dict(default_scope="mmpretrain", **data))
    check_annotations(other)
    assert other.test_evaluator.type == "mmdet.CocoMetric"


@pytest.mark.parametrize("name", ["mask_rcnn_r50_gcpm", "faster_rcnn_r101_gap"])
def test_project_configs_have_the_checking_classes(repo, name):
    cfg = Config.fromfile(repo / f"configs/{name}.py")
    for stage in ("train", "val", "test"):
        assert cfg[f"{stage}_dataloader"].dataset.type == "gcp_mm.CocoDataset"
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == "gcp_mm.CocoMetric"
    hooks = cfg.custom_hooks
    check_annotations(cfg)
    assert cfg.custom_hooks == hooks


def test_folder_is_made_and_left_empty(tmp_path):
    check_folder(tmp_path / "a" / "b", "work folder")
    assert not list((tmp_path / "a" / "b").iterdir())


@pytest.mark.parametrize("kind", ["file", "below a file", "loop", "dangling"])
def test_folder_that_cannot_be_one(tmp_path, kind):
    path = tmp_path / "w"
    reasons = {
        "file": "a part of the path is a file",
        "below a file": "a part of the path is a file",
        "loop": "is a loop of links: .*; mend the link",
        "dangling": "leads to nothing: .*; mend the link",
    }
    if kind in ("file", "below a file"):
        path.touch()
    else:
        path.symlink_to("w" if kind == "loop" else "absent")
    folder = path / "x" if kind == "below a file" else path
    with pytest.raises(UserError, match=f"^work folder .* written to: .*{reasons[kind]}"):
        check_folder(folder, "work folder")


def test_full_disk_is_found_before_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: Path("/dev/full").open("wb"))
    with pytest.raises(UserError, match="work folder .*No space left on device; free some space"):
        check_folder(tmp_path, "work folder")


@pytest.mark.parametrize("setting", ["ann_file", "proposal_file"])
def test_pickled_annotations_are_not_read(coco, monkeypatch, setting):
    """mmengine would unpickle them, and run what is in them."""
    cfg = config({**coco, setting: "annotations/train.pkl"})
    (Path(coco["data_root"]) / "annotations/train.pkl").touch()
    with pytest.raises(UserError, match=f"train.pkl' .*{setting}. is a pickle, which can run") as e:
        check_data(cfg, ("train_dataloader",))
    assert "write it as JSON" in str(e.value)
    monkeypatch.setenv("GCP_MM_ALLOW_UNSAFE_CHECKPOINTS", "1")
    check_data(cfg, ("train_dataloader",))


@pytest.mark.parametrize("training", [True, False])
def test_checks_are_added_once_and_settings_stay(training):
    own = dict(type="gcp_mm.PretrainedCoverageHook", strict=True)
    cfg = Config(dict(custom_hooks=[dict(type="EMAHook"), own]))
    add_hooks(cfg, training)
    first = list(cfg.custom_hooks)
    add_hooks(cfg, training)
    assert cfg.custom_hooks == first
    assert first[:2] == [dict(type="EMAHook"), own]
    names = [hook["type"] for hook in first[2:]]
    assert names[:2] == ["gcp_mm.FiniteCheckHook", "gcp_mm.FeatureMapCheckHook"]
    assert ("gcp_mm.ResumeCheckHook" in names) == training
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "kind",
    ["CheckpointHook", "mmengine.CheckpointHook", "mmengine.hooks.CheckpointHook", CheckpointHook],
)
def test_checkpoints_of_any_config_are_written_by_our_hook(kind):
    cfg = Config(dict(default_hooks=dict(checkpoint=dict(type=kind, interval=3))))
    add_hooks(cfg, training=True)
    assert cfg.default_hooks.checkpoint == dict(
        type="gcp_mm.CheckpointHook", interval=3, backend_args=dict(backend="gcp_mm_atomic")
    )


@pytest.mark.parametrize("given", [{}, {"default_hooks": None}, {"default_hooks": {}}])
def test_hook_that_mmengine_would_add_is_ours(given):
    cfg = Config(given)
    add_hooks(cfg, training=True)
    assert cfg.default_hooks.checkpoint.type == "gcp_mm.CheckpointHook"


@pytest.mark.parametrize(
    "checkpoint",
    [
        dict(type="MyHook"),
        dict(type="other.CheckpointHook"),
        dict(type="gcp_mm.CheckpointHook", backend_args=None),
        None,
    ],
)
def test_checkpoint_hook_of_another_kind_stays(checkpoint):
    cfg = Config(dict(default_hooks=dict(checkpoint=checkpoint)))
    add_hooks(cfg, training=True)
    assert cfg.default_hooks.checkpoint == checkpoint


def test_checkpoints_elsewhere_keep_their_backend():
    hook = dict(type="CheckpointHook", out_dir="s3://bucket")
    cfg = Config(dict(default_hooks=dict(checkpoint=hook)))
    add_hooks(cfg, training=True)
    assert "backend_args" not in cfg.default_hooks.checkpoint
