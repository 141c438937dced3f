model = dict(
    type='ImageClassifier',
    backbone=dict(type='gcp_mm.ShuffleNetV2', widen_factor=1.0),
    neck=dict(
        type='gcp_mm.GlobalCovariancePooling',
        in_channels=1024,
        reduced_channels=256,
        # ReLU6 here alone, as in the original; the trunk has ReLU.
        act_cfg=dict(type='ReLU6'),
        # PyTorch's own initialisation, as everywhere in this network.
        init_cfg=dict(
            type='Kaiming',
            layer='Conv2d',
            a=5**0.5,
            mode='fan_in',
            nonlinearity='leaky_relu',
            distribution='uniform')),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=256 * 257 // 2,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5),
        # PyTorch's own initialisation, as in the original; mmpretrain's is N(0, 0.01).
        init_cfg=None))
