_base_ = './runtime_classification.py'

custom_hooks = [
    *_base_.custom_hooks,
    dict(type='gcp_mm.PixelCheckHook'),
    dict(type='gcp_mm.PretrainedRequiredHook')]
