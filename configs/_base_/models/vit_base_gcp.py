_base_ = './resnet_gcp.py'

# A 224 x 224 image gives 14 x 14 patches: 196 positions for the covariance. 'featmap' is the patch
# tokens without the class token; out_type='raw' and neck.num_extra_tokens=1 give the same.
model = dict(
    backbone=dict(
        _delete_=True, type='VisionTransformer', arch='base', patch_size=16, out_type='featmap'),
    neck=dict(in_channels=768))
