# The curve of LRfast over 12 epochs instead of 30, at a batch of 64 instead of 256.
_base_ = './resnet_lrfast.py'

optim_wrapper = dict(optimizer=dict(lr=0.025 * (53 / 52)**11))
param_scheduler = dict(end=22)  # (1 - e / 21)^11; 53 epochs of the original become 53 * 12 / 30
train_cfg = dict(max_epochs=12)
auto_scale_lr = dict(base_batch_size=64)
