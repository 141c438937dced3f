_base_ = [
    '../_base_/models/mobilenetv2_gap.py',
    '../_base_/datasets/imagenet_bs12.py',
    '../_base_/schedules/mobilenetv2_lrfast.py',
    '../_base_/runtime_classification.py',
]
