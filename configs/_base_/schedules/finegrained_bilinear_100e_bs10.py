# The second stage of fast-MPN-COV's two_stage_finetune.sh, for vectors of length one: a constant
# 1e-3, a thousand times that for the classifier. In its first stage, from whose last epoch
# (load_from) this one starts, the classifier learns alone, at a total batch of 40:
#   --cfg-options optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0
#                 optim_wrapper.paramwise_cfg.custom_keys.neck.lr_mult=0
#                 train_dataloader.batch_size=40 auto_scale_lr.base_batch_size=40
# That script takes the newest file of the first stage with --resume, so that the classifier's
# momentum goes on; with load_from it starts anew. The resume of mmengine would also bring back the
# rates of the first stage, which are zero for all but the classifier.
_base_ = './finegrained_100e_bs10.py'

optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=1000)}))
