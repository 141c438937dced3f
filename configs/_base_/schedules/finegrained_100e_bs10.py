# As fast-MPN-COV's finetune.sh says: a constant 1.2e-3, five times that for the classifier, at a
# total batch of 10. The weight decay is that of the script's variable and of the published text; the
# script does not hand it on to main.py, which then takes 1e-4:
#   --cfg-options optim_wrapper.optimizer.weight_decay=1e-4
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=1.2e-3, momentum=0.9, weight_decay=1e-3),
    paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=5)}))
param_scheduler = dict(type='ConstantLR', factor=1.0, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=10)
