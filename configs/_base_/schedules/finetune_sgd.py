_base_ = './finetune_20e_bs64.py'

optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.002, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={'neck': dict(lr_mult=10), 'head': dict(lr_mult=10)}))
