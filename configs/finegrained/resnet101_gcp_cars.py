_base_ = [
    '../_base_/models/resnet_gcp.py',
    '../_base_/datasets/cars_448px.py',
    '../_base_/schedules/finegrained_100e_bs10.py',
    '../_base_/runtime_finetune.py',
]

model = dict(backbone=dict(depth=101), head=dict(num_classes=196))
load_from = 'checkpoints/resnet101_gcp_lrnorm.pth'
