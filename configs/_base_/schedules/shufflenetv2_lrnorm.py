# LRnorm of ShuffleNetV2: 0.5 (1 - i / T) in iteration i of the T in 240 epochs, at a total batch
# of 1024.
# Weight decay acts on every parameter, batch norms and biases too, as in the original.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.5, momentum=0.9, weight_decay=4e-5))
param_scheduler = dict(
    type='gcp_mm.PolyToEndLR',
    by_epoch=True,
    power=1,
    begin=0,
    end=240,
    convert_to_iter_based=True)
train_cfg = dict(by_epoch=True, max_epochs=240, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=1024)
