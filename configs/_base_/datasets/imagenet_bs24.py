# 8 processes x 24 images, for MobileNetV2's batch of 192 (LRadju).
_base_ = './imagenet_bs32.py'

train_dataloader = dict(batch_size=24)
