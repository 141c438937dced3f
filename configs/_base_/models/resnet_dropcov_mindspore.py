# The port smooths the labels. It has 1001 classes, one of which no image belongs to; these are
# ImageNet's 1000.
_base_ = './resnet_dropcov.py'

model = dict(
    head=dict(
        loss=dict(
            _delete_=True,
            type='LabelSmoothLoss',
            label_smooth_val=0.1,
            mode='original',
            loss_weight=1.0)))
