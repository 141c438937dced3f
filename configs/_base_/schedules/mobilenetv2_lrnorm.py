# LRnorm of MobileNetV2: 0.045 * 0.98^e over 400 epochs, at a total batch of 96. The original code
# sets no number of epochs; 400 is the published one.
# Weight decay acts on every parameter, batch norms and biases too, as in the original.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.045, momentum=0.9, weight_decay=4e-5))
param_scheduler = dict(type='StepLR', by_epoch=True, step_size=1, gamma=0.98)
train_cfg = dict(by_epoch=True, max_epochs=400, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=96)
