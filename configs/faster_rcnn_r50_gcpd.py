_base_ = './_base_/faster_rcnn_coco.py'

model = dict(
    backbone=dict(
        type='gcp_mm.GCPDResNet',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/resnet50_gcp_lrnorm.pth',
            prefix='backbone.')))
