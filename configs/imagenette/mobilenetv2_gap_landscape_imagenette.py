_base_ = [
    '../_base_/models/mobilenetv2_gap.py',
    '../_base_/datasets/imagenette_64px.py',
    '../_base_/schedules/mobilenetv2_lrnorm_2e_bs64.py',
    '../_base_/runtime_classification.py',
]

model = dict(head=dict(num_classes=10, dropout_rate=0.0))
etas = dict(start=0.045, stop=1.5, num=11)
hook = dict(type='gcp_mm.LandscapeHook', interval=10, etas=etas, rescale=True)
custom_hooks = [*_base_.custom_hooks, hook]
randomness = dict(seed=0)
