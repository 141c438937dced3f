_base_ = './resnet50_gcp_lrnorm.py'

model = dict(backbone=dict(depth=18), neck=dict(in_channels=512))
