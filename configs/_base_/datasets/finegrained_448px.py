# What the three fine-grained data sets have in common; what is resized, and how, is that of CUB.
# Pixels as in https://github.com/jiangtaoxie/fast-MPN-COV (imagepreprocess.py at b8bd250).
# There the best model is also evaluated on each crop and its mirror image together.
data_preprocessor = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)

train_pipeline = [
    dict(type='gcp_mm.LoadImage', ignore_orientation=True),
    dict(type='ResizeEdge', scale=448, edge='short', backend='pillow', interpolation='bilinear'),
    dict(type='CenterCrop', crop_size=448),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='gcp_mm.LoadImage', ignore_orientation=True),
    dict(type='ResizeEdge', scale=448, edge='short', backend='pillow', interpolation='bilinear'),
    dict(type='CenterCrop', crop_size=448),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=10,
    num_workers=4,
    dataset=dict(split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    pin_memory=True,
    persistent_workers=True)
val_dataloader = dict(
    batch_size=10,
    num_workers=4,
    dataset=dict(split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    pin_memory=True,
    persistent_workers=True)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
