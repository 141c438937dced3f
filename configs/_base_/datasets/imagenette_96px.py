# Imagenette at 96 x 96, whole images in the evaluation: what a pretrained network is fine-tuned on.
_base_ = './imagenette_64px.py'

train_pipeline = [
    dict(type='gcp_mm.LoadImage'),
    # No small crops: five epochs are few, and the evaluation has whole images.
    dict(
        type='RandomResizedCrop',
        scale=96,
        crop_ratio_range=(0.35, 1.0),
        backend='pillow',
        interpolation='bilinear'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='gcp_mm.LoadImage'),
    dict(type='ResizeEdge', scale=96, edge='short', backend='pillow', interpolation='bilinear'),
    dict(type='CenterCrop', crop_size=96),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
