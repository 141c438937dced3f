# Of DropCov's port to MindSpore (https://github.com/Sherry1945/Dropcov_mindspore): 0.8 (1 - i / T),
# after a linear warm-up of 2 epochs, at a total batch of 256. Its settings of ResNet-18 say 90
# epochs; its ResNet-50 is called epoch 100, of 5004 iterations each.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.8, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, end=2, convert_to_iter_based=True),
    dict(
        type='gcp_mm.PolyToEndLR',
        by_epoch=True,
        power=1,
        begin=2,
        end=100,
        convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=256)
