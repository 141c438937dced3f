# A network of timm up to its pooling. Of another one, its name and channels:
#   --cfg-options model.backbone.model_name=resnet18 model.neck.in_channels=512
_base_ = './resnet_gcp.py'

model = dict(
    backbone=dict(
        _delete_=True, type='gcp_mm.TIMMBackbone', model_name='tf_efficientnet_lite0'),
    neck=dict(in_channels=1280))
