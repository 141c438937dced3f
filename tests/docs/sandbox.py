"""A folder in which the commands of the pages work on small things.

It looks like a source tree with data beside it. Configs that the pages run have the same names and
are narrow; the images are few and small.
"""

import importlib
import shutil
from pathlib import Path

import pytest
import torch
from coco_files import CLASSES, write, write_coco
from mmengine.config import Config
from random_weights import randomise
from shared_folder import REPO
from suite import made_once
from tiny_runs import write_config

from docs.blocks import blocks_of

LOADER = """
loader = dict(batch_size=4, num_workers=0, persistent_workers=False, pin_memory=False)
train_dataloader = dict({train}**loader)
val_dataloader = dict({test}**loader)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
"""
NARROW = """
_base_ = '{repo}/configs/{name}'
model = dict(
    backbone=dict(
        depth=18, base_channels=16, stem_channels=16,
        num_stages=1, strides=[1], dilations=[1], out_indices=[0]),
    neck=dict(in_channels=16, reduced_channels=16, num_iters=2),
    head=dict(num_classes=3, in_channels=136, topk=(1,)))
data_preprocessor = dict(num_classes=3)
pipeline = [dict(type='gcp_mm.LoadImage'), dict(type='PackInputs')]
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator
"""
DETECTOR = """
_base_ = '{repo}/configs/{name}'
model = dict(
    backbone=dict(
        depth=18, base_channels=16, stem_channels=16,
        init_cfg=dict(checkpoint='checkpoints/all_stages.pth')),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=32, num_classes=3),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(num_convs=1, in_channels=16, conv_out_channels=16, num_classes=3)),
    test_cfg=dict(rpn=dict(nms_pre=50, max_per_img=20), rcnn=dict(score_thr=0.0, max_per_img=5)))
load = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(96, 96), keep_ratio=True)]
keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
"""
# What a detector starts from has them.
ALL_STAGES = {
    "backbone.num_stages": 4,
    "backbone.strides": (1, 2, 2, 1),
    "backbone.dilations": (1, 1, 1, 1),
    "backbone.out_indices": (3,),
    "neck.in_channels": 128,
}
CLASSIFIERS = ("finetune/resnet50_gcp_folder.py",)
DETECTORS = ("mask_rcnn_r50_gcpm.py",)


def _stand_in(configs: Path, name: str, text: str, train: str, test: str) -> Path:
    """Write a narrow config under the name of one of ours, among links to the others."""
    path = configs / name
    for folder in reversed(path.relative_to(configs).parents):
        own, theirs = configs / folder, REPO / "configs" / folder
        if own.is_symlink():
            own.unlink()
        own.mkdir(exist_ok=True)
        for entry in theirs.iterdir():
            if not (own / entry.name).exists():
                (own / entry.name).symlink_to(entry)
    path.unlink()
    loaders = LOADER.replace("{train}", train).replace("{test}", test)
    return write_config(path, text + loaders, repo=REPO, name=name)


def _weights(
    config: Path, checkpoint: Path, package: str, classes: tuple[str, ...] = (), **model: object
) -> None:
    """Write random weights for a config, or for its model with other settings."""
    registry = importlib.import_module(f"{package}.registry")
    cfg = Config.fromfile(config)
    settings = {"backbone.init_cfg": None, **model}
    cfg.merge_from_dict({f"model.{name}": value for name, value in settings.items()})
    network = randomise(registry.MODELS.build(dict(cfg.model)))
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    meta = {"epoch": 12, "iter": 48, "dataset_meta": {"classes": classes}}
    torch.save({"meta": meta, "state_dict": network.state_dict()}, checkpoint)


def _images(root: Path, class_folders: Path) -> None:
    """Copy the class folders, and one image of them to where an example looks for it."""
    for split in ("train", "val"):
        shutil.copytree(class_folders / split, root / "data/folder" / split)
    shutil.copy(min(class_folders.glob("val/*/*.png")), root / "cat.jpg")


def _objects(root: Path) -> None:
    """Write objects in COCO's format."""
    for split in ("train", "val"):
        folder = root / "data/mine"
        content = write_coco(folder, split)
        write(folder, content, split).rename(folder / f"annotations/{split}.json")
        (folder / f"{split}2017").rename(folder / split)
    shutil.copy(root / "data/mine/val/val_0.png", root / "street.jpg")


@pytest.fixture(scope="session")
def made_sandbox(tmp_path_factory, class_folders) -> Path:
    """Return the folder as it is before a page."""

    def make() -> Path:
        root = tmp_path_factory.mktemp("sandbox")
        (root / "tools").symlink_to(REPO / "tools")
        (root / "configs").symlink_to(REPO / "configs")
        _images(root, class_folders)
        _objects(root)
        data = "dataset=dict(pipeline=pipeline), "
        for name in CLASSIFIERS:
            config = _stand_in(root / "configs", name, NARROW, data, data)
            _weights(config, root / "checkpoints/resnet50_gcp_lrnorm.pth", "mmpretrain")
            _weights(config, root / "checkpoints/all_stages.pth", "mmpretrain", **ALL_STAGES)
            run = root / "work_dirs" / config.stem
            names = ("class_0", "class_1", "class_2")
            _weights(config, run / "epoch_20.pth", "mmpretrain", names)
            shutil.copy(config, run)
        train = "dataset=dict(pipeline=load + [dict(type='PackDetInputs')]), "
        test = "dataset=dict(pipeline=load + [dict(type='PackDetInputs', meta_keys=keys)]), "
        for name in DETECTORS:
            config = _stand_in(root / "configs", name, DETECTOR, train, test)
            run = root / "work_dirs/mine"
            _weights(config, run / "epoch_12.pth", "mmdet", CLASSES)
            (shown,) = (b for b in blocks_of(REPO / "docs/coco_data.md") if b.file)
            (run / "mine.py").write_text(shown.code.replace('"./', f'"{config.parent}/'))
        return root

    return made_once(tmp_path_factory, "sandbox", make)


@pytest.fixture
def sandbox(made_sandbox, tmp_path) -> Path:
    """Return a copy of the folder, for one page."""
    return Path(shutil.copytree(made_sandbox, tmp_path / "gcp_mm", symlinks=True))
