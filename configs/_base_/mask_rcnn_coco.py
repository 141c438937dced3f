_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/coco_instance.py',
    './schedules/coco_1x_bs8.py',
    './runtime_detection.py',
]

# 8 processes x 1 image; the published run was 4 x 2.
train_dataloader = dict(batch_size=1)
