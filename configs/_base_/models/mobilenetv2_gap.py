model = dict(
    type='ImageClassifier',
    backbone=dict(type='gcp_mm.MobileNetV2'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='gcp_mm.DropoutLinearClsHead',
        num_classes=1000,
        in_channels=1280,
        dropout_rate=0.2,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5)))
