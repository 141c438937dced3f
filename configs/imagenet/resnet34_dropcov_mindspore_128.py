_base_ = [
    '../_base_/models/resnet_dropcov_mindspore.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/resnet_mindspore.py',
    '../_base_/runtime_classification.py',
]

model = dict(backbone=dict(depth=34), neck=dict(in_channels=512))
