_base_ = [
    '../_base_/models/shufflenetv2_gcp.py',
    '../_base_/datasets/imagenet_bs128_colorjitter.py',
    '../_base_/schedules/shufflenetv2_lrnorm.py',
    '../_base_/runtime_classification.py',
]
