# A new covariance neck learns slowly at ten times the rate of the backbone: each of its classifier's
# 32896 inputs says little. On the features of both pretrained networks 0.1 to 1 was best for it, and
# 0.02 for a classifier behind average pooling.
_base_ = './finetune_sgd_5e.py'

optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={'neck': dict(lr_mult=100), 'head': dict(lr_mult=100)}))
