# LRfast of ShuffleNetV2: 0.5 (1 - i / T) in iteration i of the T in 60 epochs, at a total batch
# of 1024.
_base_ = './shufflenetv2_lrnorm.py'

param_scheduler = dict(end=60)
train_cfg = dict(max_epochs=60)
