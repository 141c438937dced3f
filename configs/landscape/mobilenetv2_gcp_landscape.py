_base_ = [
    '../_base_/models/mobilenetv2_gcp.py',
    '../_base_/datasets/imagenet_bs12.py',
    '../_base_/schedules/mobilenetv2_lrnorm.py',
    '../_base_/runtime_landscape.py',
]

# As published: no dropout where the landscape is measured.
model = dict(head=dict(dropout_rate=0.0))
