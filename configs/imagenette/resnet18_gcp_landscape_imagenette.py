_base_ = [
    '../_base_/models/resnet_gcp.py',
    '../_base_/datasets/imagenette_64px.py',
    '../_base_/schedules/resnet_lrnorm_2e_bs64.py',
    '../_base_/runtime_classification.py',
]

model = dict(backbone=dict(depth=18), neck=dict(in_channels=512), head=dict(num_classes=10))
etas = dict(start=0.1, stop=75.0, num=11)
hook = dict(type='gcp_mm.LandscapeHook', interval=10, etas=etas, rescale=True)
custom_hooks = [*_base_.custom_hooks, hook]
randomness = dict(seed=0)
