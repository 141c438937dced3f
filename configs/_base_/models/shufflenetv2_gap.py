model = dict(
    type='ImageClassifier',
    backbone=dict(type='gcp_mm.ShuffleNetV2', widen_factor=1.0),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=1024,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5),
        # PyTorch's own initialisation, as in the original; mmpretrain's is N(0, 0.01).
        init_cfg=None))
