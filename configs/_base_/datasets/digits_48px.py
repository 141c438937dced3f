# Scikit-learn's handwritten digits (tools/make_demo_data.py), as they are: 48 x 48.
_base_ = './folder_bs64.py'

data_preprocessor = dict(num_classes=10)
pipeline = [dict(type='gcp_mm.LoadImage'), dict(type='PackInputs')]
data = dict(data_root='data/demo/digits', pipeline=pipeline)
train_dataloader = dict(dataset=data, num_workers=1)
val_dataloader = dict(dataset=data, num_workers=1)
test_dataloader = val_dataloader
