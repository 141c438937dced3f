# The first two epochs of LRnorm, at a batch of 64 instead of 256.
_base_ = './resnet_lrnorm.py'

optim_wrapper = dict(optimizer=dict(lr=0.1 * 64 / 256))
train_cfg = dict(max_epochs=2, val_interval=2)
auto_scale_lr = dict(base_batch_size=64)
