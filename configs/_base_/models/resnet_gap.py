# The control of GCP-ResNet: stride 2 in the last stage, average pooling, otherwise the same.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=50, zero_init_residual=False),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=2048,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5),
        # PyTorch's own initialisation, as in the original; mmpretrain's is N(0, 0.01).
        init_cfg=None))
