_base_ = [
    '../_base_/models/resnet_gap.py',
    '../_base_/datasets/imagenette_64px.py',
    '../_base_/schedules/resnet_lrfast_12e_bs64.py',
    '../_base_/runtime_classification.py',
]

model = dict(backbone=dict(depth=18), head=dict(num_classes=10, in_channels=512))
randomness = dict(seed=0)
