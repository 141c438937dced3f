# A network of timm up to its pooling. Of another one, its name and channels:
#   --cfg-options model.backbone.model_name=resnet18 model.head.in_channels=512
model = dict(
    type='ImageClassifier',
    backbone=dict(type='gcp_mm.TIMMBackbone', model_name='tf_efficientnet_lite0'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=1280,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5),
        # PyTorch's own initialisation, as that of the classifier behind covariance pooling.
        init_cfg=None))
