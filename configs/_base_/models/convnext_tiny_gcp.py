_base_ = './resnet_gcp.py'

# A 224 x 224 image gives a 7 x 7 map: 49 positions for the covariance. By default this backbone
# averages over the positions before its last norm.
model = dict(
    backbone=dict(
        _delete_=True,
        type='ConvNeXt',
        arch='tiny',
        drop_path_rate=0.1,
        gap_before_final_norm=False),
    neck=dict(in_channels=768))
