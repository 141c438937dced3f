model = dict(
    type='ImageClassifier',
    backbone=dict(type='gcp_mm.GCPResNet', depth=50),
    neck=dict(type='gcp_mm.GlobalCovariancePooling', in_channels=2048, reduced_channels=256),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=256 * 257 // 2,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5),
        # PyTorch's own initialisation, as in the original; mmpretrain's is N(0, 0.01).
        init_cfg=None))
