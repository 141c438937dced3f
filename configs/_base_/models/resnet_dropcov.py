# DropCov, https://github.com/mingzeG/DropCov: channels are dropped in training, and the covariance
# has no square root. The code has 256 channels; the published numbers of parameters are those of
# 128 (configs/imagenet/metafile.yml).
_base_ = './resnet_gcp.py'

model = dict(
    neck=dict(reduced_channels=128, method='dropcov'),
    head=dict(in_channels=128 * 129 // 2))
