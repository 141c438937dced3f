# Imagenette (ten classes of ImageNet) in class folders, at 64 x 64: a run for a CPU.
_base_ = './folder_bs64.py'

data_preprocessor = dict(num_classes=10)
train_pipeline = [
    dict(type='gcp_mm.LoadImage'),
    dict(type='RandomResizedCrop', scale=64, backend='pillow', interpolation='bilinear'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
# The ratio of 256 to 224.
test_pipeline = [
    dict(type='gcp_mm.LoadImage'),
    dict(type='ResizeEdge', scale=73, edge='short', backend='pillow', interpolation='bilinear'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='PackInputs'),
]
data = dict(data_root='data/imagenette')
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **data), num_workers=1)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **data), num_workers=1)
test_dataloader = val_dataloader
val_evaluator = dict(topk=(1, 5))
test_evaluator = val_evaluator
