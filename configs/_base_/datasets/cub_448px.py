# CUB-200-2011, as it is unpacked: data/CUB_200_2011/{images/<class>/,images.txt, ...}.
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
loader = dict(
    batch_size=10,
    num_workers=4,
    collate_fn=dict(type='default_collate'),
    pin_memory=True,
    persistent_workers=True)
dataset = dict(type='gcp_mm.CUB', data_root='data/CUB_200_2011')
train_dataloader = dict(
    dataset=dict(split='train', pipeline=train_pipeline, **dataset),
    sampler=dict(type='DefaultSampler', shuffle=True),
    **loader)
val_dataloader = dict(
    dataset=dict(split='test', pipeline=test_pipeline, **dataset),
    sampler=dict(type='DefaultSampler', shuffle=False),
    **loader)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
