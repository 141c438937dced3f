# Stanford Cars: data/Stanford_Cars/{car_ims/,cars_annos.mat}, or the parts cars_train, cars_test
# and devkit.
# Pixels as in imagepreprocess.py at b8bd250 (before it, evaluation cut out the centre): a square of
# the whole image.
_base_ = './finegrained_448px.py'

train_pipeline = [
    dict(type='gcp_mm.LoadImage', ignore_orientation=True),
    dict(type='Resize', scale=(448, 448), backend='pillow', interpolation='bilinear'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='gcp_mm.LoadImage', ignore_orientation=True),
    dict(type='Resize', scale=(448, 448), backend='pillow', interpolation='bilinear'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    dataset=dict(
        type='gcp_mm.StanfordCars', data_root='data/Stanford_Cars', pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='gcp_mm.StanfordCars', data_root='data/Stanford_Cars', pipeline=test_pipeline))
test_dataloader = val_dataloader
