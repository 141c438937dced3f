_base_ = [
    '../_base_/models/resnet_gap.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/resnet_lrfast.py',
    '../_base_/runtime_classification.py',
]
