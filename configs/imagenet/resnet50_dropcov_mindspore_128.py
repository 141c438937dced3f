_base_ = [
    '../_base_/models/resnet_dropcov_mindspore.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/resnet_mindspore.py',
    '../_base_/runtime_classification.py',
]
