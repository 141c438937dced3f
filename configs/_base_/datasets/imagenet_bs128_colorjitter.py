# 8 processes x 128 images, for ShuffleNetV2's batch of 1024. Its training jitters the colours.
_base_ = './imagenet_bs32.py'

train_pipeline = [
    dict(type='gcp_mm.LoadImage', ignore_orientation=True),
    dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation='bilinear'),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(batch_size=128, dataset=dict(pipeline=train_pipeline))
