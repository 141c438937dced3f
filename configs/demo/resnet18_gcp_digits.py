# A narrow GCP-ResNet-18 on scikit-learn's handwritten digits (tools/make_demo_data.py).
_base_ = [
    '../_base_/models/resnet_gcp.py',
    '../_base_/datasets/digits_48px.py',
    '../_base_/schedules/resnet_lrnorm.py',
    '../_base_/runtime_classification.py',
]

model = dict(
    backbone=dict(depth=18, stem_channels=32, base_channels=32),
    neck=dict(in_channels=256, reduced_channels=64),
    head=dict(num_classes=10, in_channels=64 * 65 // 2))

val_evaluator = dict(topk=(1, 5))
test_evaluator = val_evaluator
# The schedule's 0.1 belongs to a batch of 256.
optim_wrapper = dict(optimizer=dict(lr=0.025))
auto_scale_lr = dict(base_batch_size=64)
param_scheduler = dict(milestones=[3])
train_cfg = dict(max_epochs=4)
default_hooks = dict(logger=dict(interval=10))
randomness = dict(seed=0)
