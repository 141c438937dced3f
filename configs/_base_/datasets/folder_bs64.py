# One's own images: data/folder/{train,val}/<class>/<image>. Other folders and numbers of classes:
#   --cfg-options model.head.num_classes=N
#                 {train,val,test}_dataloader.dataset.data_root=PATH
# The names of the folders, sorted, are the classes.
data_preprocessor = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)

train_pipeline = [
    dict(type='gcp_mm.LoadImage'),
    dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation='bilinear'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='gcp_mm.LoadImage'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow', interpolation='bilinear'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]
loader = dict(
    batch_size=64,
    num_workers=4,
    collate_fn=dict(type='default_collate'),
    pin_memory=True,
    persistent_workers=True)
train_dataloader = dict(
    dataset=dict(
        type='gcp_mm.ClassFolder',
        data_root='data/folder',
        data_prefix='train',
        pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
    **loader)
val_dataloader = dict(
    dataset=dict(
        type='gcp_mm.ClassFolder',
        data_root='data/folder',
        data_prefix='val',
        test_mode=True,
        pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
    **loader)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator
