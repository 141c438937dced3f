_base_ = [
    '../_base_/models/resnet_gcp.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/resnet_lradju.py',
    '../_base_/runtime_classification.py',
]

model = dict(neck=dict(reduced_channels=128), head=dict(in_channels=128 * 129 // 2))
