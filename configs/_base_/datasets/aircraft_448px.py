# FGVC-Aircraft, as it is unpacked: data/fgvc-aircraft-2013b/data/{images/,images_variant_*.txt}.
# Pixels as in imagepreprocess.py at b8bd250: a square of the whole image.
_base_ = './finegrained_448px.py'

train_pipeline = [
    dict(type='gcp_mm.LoadImage', ignore_orientation=True),
    dict(type='Resize', scale=(512, 512), backend='pillow', interpolation='bilinear'),
    dict(type='CenterCrop', crop_size=448),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='gcp_mm.LoadImage', ignore_orientation=True),
    dict(type='Resize', scale=(512, 512), backend='pillow', interpolation='bilinear'),
    dict(type='CenterCrop', crop_size=448),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    dataset=dict(
        type='gcp_mm.FGVCAircraft',
        data_root='data/fgvc-aircraft-2013b',
        split='trainval',
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='gcp_mm.FGVCAircraft',
        data_root='data/fgvc-aircraft-2013b',
        pipeline=test_pipeline))
test_dataloader = val_dataloader
