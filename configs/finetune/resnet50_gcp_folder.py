_base_ = [
    '../_base_/models/resnet_gcp.py',
    '../_base_/datasets/folder_bs64.py',
    '../_base_/schedules/finetune_sgd.py',
    '../_base_/runtime_finetune.py',
]

model = dict(head=dict(num_classes=10))
# The published GCP-ResNet-50: backbone and neck, without its head for 1000 classes.
load_from = 'checkpoints/resnet50_gcp_lrnorm.pth'
