# LRadju of ResNet: 0.1 (1 - (e - 1) / 49)^2 in epoch e = 0..49, at a total batch of 256. The formula
# counts epochs from 1 but was called from 0, so that the first epoch is above 0.1.
# Weight decay acts on every parameter, batch norms and biases too, as in the original.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1 * (50 / 49)**2, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='PolyLR', by_epoch=True, power=2, eta_min=0, begin=0, end=51)
train_cfg = dict(by_epoch=True, max_epochs=50, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=256)
