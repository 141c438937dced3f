# The first two epochs of LRnorm, at a batch of 64 instead of 96.
_base_ = './mobilenetv2_lrnorm.py'

optim_wrapper = dict(optimizer=dict(lr=0.045 * 64 / 96))
train_cfg = dict(max_epochs=2, val_interval=2)
auto_scale_lr = dict(base_batch_size=64)
