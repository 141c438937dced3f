# The published detection schedule: 12 epochs, learning rate 0.01 at a total batch of 8, divided by
# 10 after epochs 8 and 11; linear warm-up over 500 iterations, as mmdet's 1x.
_base_ = 'mmdet::_base_/schedules/schedule_1x.py'

optim_wrapper = dict(optimizer=dict(lr=0.01))
auto_scale_lr = dict(base_batch_size=8)
