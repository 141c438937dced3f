model = dict(
    type='ImageClassifier',
    backbone=dict(type='gcp_mm.MobileNetV2'),
    neck=dict(
        type='gcp_mm.GlobalCovariancePooling',
        in_channels=1280,
        reduced_channels=256,
        act_cfg=dict(type='ReLU6')),
    head=dict(
        type='gcp_mm.DropoutLinearClsHead',
        num_classes=1000,
        in_channels=256 * 257 // 2,
        dropout_rate=0.2,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5)))
