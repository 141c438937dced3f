_base_ = [
    '../_base_/models/timm_gcp.py',
    '../_base_/datasets/imagenette_96px.py',
    '../_base_/schedules/finetune_sgd_5e_gcp.py',
    '../_base_/runtime_finetune.py',
]

data_preprocessor = dict(mean=[127, 127, 127], std=[128, 128, 128])
model = dict(head=dict(num_classes=10))
load_from = 'checkpoints/efficientnet_lite0.pth'
randomness = dict(seed=0)
