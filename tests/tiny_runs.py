"""Small training runs: their configs, and what they leave behind."""

import json
import os
from pathlib import Path

import torch

# A GCP-ResNet-18 for `class_folders`. No layer depends on how a batch is split over processes
# (frozen batch norms, group norm), and no augmentation draws random numbers.
CLASSIFIER = """
_base_ = '{repo}/configs/imagenet/resnet18_gcp_lrnorm.py'

model = dict(
    backbone=dict(base_channels=16, stem_channels=16, norm_eval=True),
    neck=dict(in_channels=128, reduced_channels=16, norm_cfg=dict(type='GN', num_groups=4)),
    head=dict(num_classes=3, in_channels=136, topk=(1,)))
data_preprocessor = dict(num_classes=3)
pipeline = [dict(type='LoadImageFromFile', imdecode_backend='pillow'), dict(type='PackInputs')]
dataset = dict(_delete_=True, type='CustomDataset', data_root='{data}', pipeline=pipeline)
loader = dict(batch_size=4, num_workers=0, persistent_workers=False, pin_memory=False)
train_dataloader = dict(dataset=dict(data_prefix='train', **dataset), **loader)
val_dataloader = dict(dataset=dict(data_prefix='val', **dataset), **loader)
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = dict(milestones=[2])
train_cfg = dict(max_epochs=3)
default_hooks = dict(logger=dict(interval=1))
log_processor = dict(window_size=1)
randomness = dict(seed=0)
"""
# Its first stage alone, with a batch norm in the neck: where each operation costs.
ONE_STAGE = """
_base_ = '{classifier}'

model = dict(
    backbone=dict(num_stages=1, strides=[1], dilations=[1], out_indices=[0]),
    neck=dict(in_channels=16, norm_cfg=dict(_delete_=True, type='BN')))
"""
# The same for comparing runs that round differently: a ReLU or a maximum within rounding of its
# corner falls to one side in one run and to the other in the next, and the gradient jumps with it.
# ConvNeXt's GELU and this neck's SiLU have no corner; small steps keep what was rounded small.
SMOOTH_CLASSIFIER = """
_base_ = '{classifier}'

model = dict(
    backbone=dict(
        _delete_=True, type='ConvNeXt', arch=dict(depths=[1, 1, 1], channels=[8, 16, 32]),
        out_indices=[2], layer_scale_init_value=1.0, gap_before_final_norm=False),
    neck=dict(in_channels=32, act_cfg=dict(type='SiLU')))
optim_wrapper = dict(optimizer=dict(lr=0.001))
"""
# A Mask R-CNN for `scenes`, on the backbone of CLASSIFIER.
DETECTOR = """
_base_ = '{repo}/configs/mask_rcnn_r50_gcpm.py'

model = dict(
    backbone=dict(
        depth=18, base_channels=16, stem_channels=16, init_cfg=dict(checkpoint='{pretrained}')),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=32, num_classes=3),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(num_convs=1, in_channels=16, conv_out_channels=16, num_classes=3)),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=32)),
        rpn_proposal=dict(nms_pre=50, max_per_img=20),
        rcnn=dict(sampler=dict(num=16))),
    test_cfg=dict(
        rpn=dict(nms_pre=50, max_per_img=20), rcnn=dict(score_thr=0.0, max_per_img=10)))
load = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(96, 96), keep_ratio=True)]
keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
dataset = dict(data_root='{data}', metainfo=dict(classes=('disk', 'triangle', 'star')))
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(pipeline=load + [dict(type='PackDetInputs')], **dataset), **loader)
val_dataloader = dict(
    dataset=dict(pipeline=load + [dict(type='PackDetInputs', meta_keys=keys)], **dataset),
    **loader)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{data}/annotations/instances_val2017.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=0)
"""
ITERATIONS = 4  # of an epoch of CLASSIFIER


class Hostile:
    """Pickles as a command that makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.marker}",)


def write_config(path: Path, text: str, **values: object) -> Path:
    """Write a config, with ``{name}`` in its text replaced by the values."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    path.write_text(text)
    return path


def forget_runs() -> None:
    """Drop what mmengine keeps of the runs in this process, so that the next one starts afresh."""
    # Here, because the tests of gcp_mm.ops need no OpenMMLab.
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.registry import DefaultScope
    from mmengine.visualization import Visualizer

    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            handler.close()
    for keeper in (DefaultScope, MMLogger, MessageHub, Visualizer, *Visualizer.__subclasses__()):
        keeper._instance_dict.clear()


def read_scalars(work_dir: Path) -> tuple[dict[int, dict], dict[int, dict]]:
    """Return what was logged by training step, and by epoch of validation; later runs win."""
    steps, epochs = {}, {}
    for file in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            (steps if "loss" in record else epochs)[record["step"]] = record
    return steps, epochs


def read_log(work_dir: Path) -> str:
    """Return the text log of all runs in a work folder, the oldest first."""
    return "".join(path.read_text() for path in sorted(work_dir.glob("*/*.log")))


def read_checkpoint(path: Path) -> dict:
    """Load a checkpoint that a test has just written."""
    return torch.load(path, map_location="cpu", weights_only=False)


def largest_difference(first: dict, second: dict) -> float:
    """Return the largest difference of two state dicts, relative to each tensor's largest value."""
    assert first.keys() == second.keys()
    return max(
        float((first[name] - second[name]).abs().max() / second[name].abs().max().clamp_min(1e-12))
        for name in first
    )


def only_error(code: int, output: str, errors: str) -> str:
    """Return the one error line of a tool that ended as it should: code 2, no traceback."""
    assert code == 2, output + errors
    assert "Traceback" not in output + errors
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, errors
    return lines[0]
