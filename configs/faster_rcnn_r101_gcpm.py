_base_ = './_base_/faster_rcnn_coco.py'

model = dict(
    backbone=dict(
        type='gcp_mm.GCPMResNet',
        depth=101,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='checkpoints/resnet101_gcp_lrnorm.pth',
            prefix='backbone.')))
