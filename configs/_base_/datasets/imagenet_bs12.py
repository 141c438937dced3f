# 8 processes x 12 images, for MobileNetV2's batch of 96.
_base_ = './imagenet_bs32.py'

train_dataloader = dict(batch_size=12)
