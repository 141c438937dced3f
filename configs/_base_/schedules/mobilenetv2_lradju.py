# LRadju of MobileNetV2: linear from 0.06 to 0.01 (epoch 50), 0.001 (100) and 1e-5 (150), at a total
# batch of 192. A later piece begins in the epoch in which the one before ends.
# Weight decay acts on every parameter, batch norms and biases too, as in the original.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.06, momentum=0.9, weight_decay=4e-5))
param_scheduler = [
    dict(type='LinearLR', by_epoch=True, start_factor=1, end_factor=1 / 6, begin=0, end=51),
    dict(type='LinearLR', by_epoch=True, start_factor=1, end_factor=0.1, begin=50, end=101),
    dict(type='LinearLR', by_epoch=True, start_factor=1, end_factor=0.01, begin=100, end=151),
]
train_cfg = dict(by_epoch=True, max_epochs=150, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=192)
