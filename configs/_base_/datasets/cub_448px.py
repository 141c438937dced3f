# CUB-200-2011, as it is unpacked: data/CUB_200_2011/{images/<class>/,images.txt, ...}.
_base_ = './finegrained_448px.py'

train_dataloader = dict(dataset=dict(type='gcp_mm.CUB', data_root='data/CUB_200_2011'))
val_dataloader = dict(dataset=dict(type='gcp_mm.CUB', data_root='data/CUB_200_2011'))
test_dataloader = val_dataloader
