"""The configs that are run: those of the project, on the images that are there."""

from __future__ import annotations

from pathlib import Path

from gpu_parts.settings import REPO

_RUN = """
# Validation is that of tools/test.py.
val_cfg = None
val_dataloader = None
val_evaluator = None
train_cfg = dict(_delete_=True, by_epoch=False, max_iters={iterations})
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(by_epoch=False, interval={iterations}, save_best=None))
log_processor = dict(window_size=1, by_epoch=False)
randomness = dict(seed=0)
"""
CLASSIFIER = (
    """
_base_ = '{repo}/configs/imagenet/{base}.py'

model = dict(head=dict(num_classes=10))
data_preprocessor = dict(num_classes=10)
dataset = dict(_delete_=True, type='gcp_mm.ClassFolder', data_root='{images}')
loader = dict(batch_size={batch}, num_workers={workers}, persistent_workers=False)
train_dataloader = dict(
    dataset=dict(data_prefix='train', pipeline={{_base_.train_pipeline}}, **dataset), **loader)
test_dataloader = dict(
    dataset=dict(
        data_prefix='val', pipeline={{_base_.test_pipeline}}, test_mode=True, **dataset),
    **loader)
test_evaluator = dict(topk=(1,))
optim_wrapper = dict(optimizer=dict(lr=0.01))
"""
    + _RUN
)
# Its batch norms learn, because there are no pretrained weights, and boxes of any score count, or
# there would be none so early.
DETECTOR = (
    """
_base_ = '{repo}/configs/mask_rcnn_r50_gcpm.py'

model = dict(
    backbone=dict(init_cfg=None, norm_eval=False, frozen_stages=-1),
    test_cfg=dict(rcnn=dict(score_thr=0.0)))
resize = dict(type='Resize', scale=({side}, {side}), keep_ratio=True)
load = [
    dict(type='LoadImageFromFile'), resize,
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
dataset = dict(data_root='{images}'{classes})
loader = dict(num_workers={workers}, persistent_workers=False)
train_dataloader = dict(
    batch_size={batch},
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            resize, dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')],
        **dataset),
    **loader)
test_dataloader = dict(
    dataset=dict(pipeline=load + [dict(type='PackDetInputs', meta_keys=keys)], **dataset),
    **loader)
test_evaluator = dict(ann_file='{images}/annotations/instances_val2017.json')
"""
    + _RUN
)
# Appended to the above, to see on a CPU that it runs.
TINY_CLASSIFIER = """
model.update(dict(
    backbone=dict(depth=18, base_channels=8, stem_channels=8),
    neck=dict(in_channels=64, reduced_channels=8),
    head=dict(num_classes=10, in_channels=36)))
"""
TINY_DETECTOR = """
model.update(dict(
    backbone=dict(
        init_cfg=None, norm_eval=False, frozen_stages=-1,
        depth=18, base_channels=8, stem_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=8),
    rpn_head=dict(in_channels=8, feat_channels=8),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=8),
        bbox_head=dict(in_channels=8, fc_out_channels=8, num_classes={number}),
        mask_roi_extractor=dict(out_channels=8),
        mask_head=dict(num_convs=1, in_channels=8, conv_out_channels=8, num_classes={number})),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=16)),
        rpn_proposal=dict(nms_pre=20, max_per_img=8),
        rcnn=dict(sampler=dict(num=8))),
    test_cfg=dict(
        rpn=dict(nms_pre=20, max_per_img=8), rcnn=dict(score_thr=0.0, max_per_img=4))))
"""
# Images of the size that a tree of corrupted ones has, without augmentation.
FIXED_SIZE = """
steps = [
    dict(type='gcp_mm.LoadImage'),
    dict(type='Resize', scale={side}, backend='pillow', interpolation='bilinear'),
    dict(type='PackInputs')]
train_dataloader['dataset']['pipeline'] = steps
test_dataloader['dataset']['pipeline'] = steps
"""


def write_config(path: Path, text: str, **values: object) -> Path:
    """Write a config, with ``{name}`` in its text replaced by the values.

    Args:
        path: The file.
        text: One or more of the above.
        **values: What is put in; ``repo`` is known.
    """
    for name, value in {"repo": REPO, **values}.items():
        text = text.replace(f"{{{name}}}", str(value))
    path.write_text(text)
    return path
