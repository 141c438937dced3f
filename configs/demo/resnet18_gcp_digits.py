# A narrow GCP-ResNet-18 on scikit-learn's handwritten digits (tools/make_demo_data.py).
_base_ = '../imagenet/resnet18_gcp_lrnorm.py'

model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    neck=dict(in_channels=256, reduced_channels=64),
    head=dict(num_classes=10, in_channels=64 * 65 // 2))
data_preprocessor = dict(num_classes=10)

pipeline = [dict(type='gcp_mm.LoadImage'), dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='gcp_mm.ClassFolder',
        data_root='data/demo/digits',
        data_prefix='train',
        pipeline=pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='gcp_mm.ClassFolder',
        data_root='data/demo/digits',
        data_prefix='val',
        test_mode=True,
        pipeline=pipeline))
test_dataloader = val_dataloader

# The schedule's 0.1 belongs to a batch of 256.
optim_wrapper = dict(optimizer=dict(lr=0.025))
auto_scale_lr = dict(base_batch_size=64)
param_scheduler = dict(milestones=[3])
train_cfg = dict(max_epochs=4)
default_hooks = dict(logger=dict(interval=10))
randomness = dict(seed=0)
