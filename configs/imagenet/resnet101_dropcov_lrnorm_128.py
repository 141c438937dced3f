_base_ = [
    '../_base_/models/resnet_dropcov.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/resnet_lrnorm.py',
    '../_base_/runtime_classification.py',
]

model = dict(backbone=dict(depth=101))
