_base_ = [
    '../_base_/models/mobilenetv2_gcp.py',
    '../_base_/datasets/imagenette_96px.py',
    '../_base_/schedules/finetune_sgd_5e_gcp.py',
    '../_base_/runtime_finetune.py',
]

data_preprocessor = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])
model = dict(head=dict(num_classes=10))
# Trained on ImageNet and 19 breeds of dogs, no classifier: tools/convert_checkpoint.py SRC DST
load_from = 'checkpoints/mobilenet_v2_dogs19.pth'
randomness = dict(seed=0)
