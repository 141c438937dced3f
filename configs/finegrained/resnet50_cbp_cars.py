_base_ = [
    '../_base_/models/resnet_gcp.py',
    '../_base_/datasets/cars_448px.py',
    '../_base_/schedules/finegrained_bilinear_100e_bs10.py',
    '../_base_/runtime_finetune.py',
]

model = dict(neck=dict(method='cbp'), head=dict(num_classes=196, in_channels=8192))
load_from = 'checkpoints/resnet50_gcp_lrnorm.pth'
