# LRnorm of ResNet: 0.1, divided by 10 after 30, 60 and 90 of 100 epochs, at a total batch of 256.
# Weight decay acts on every parameter, batch norms and biases too, as in the original.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[30, 60, 90], gamma=0.1)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=256)
