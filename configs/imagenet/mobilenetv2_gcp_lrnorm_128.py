_base_ = [
    '../_base_/models/mobilenetv2_gcp.py',
    '../_base_/datasets/imagenet_bs12.py',
    '../_base_/schedules/mobilenetv2_lrnorm.py',
    '../_base_/runtime_classification.py',
]

model = dict(neck=dict(reduced_channels=128), head=dict(in_channels=128 * 129 // 2))
