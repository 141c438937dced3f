_base_ = './resnet_gcp.py'

# A 224 x 224 image gives a 7 x 7 map: 49 positions for the covariance.
model = dict(
    backbone=dict(_delete_=True, type='SwinTransformer', arch='tiny', drop_path_rate=0.2),
    neck=dict(in_channels=768))
