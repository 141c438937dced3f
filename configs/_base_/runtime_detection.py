_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(imports=['gcp_mm.registry'], allow_failed_imports=False)
default_hooks = dict(
    checkpoint=dict(
        type='gcp_mm.CheckpointHook',
        interval=1,
        max_keep_ckpts=3,
        backend_args=dict(backend='gcp_mm_atomic')))
custom_hooks = [
    dict(type='gcp_mm.BatchSizeCheckHook'),
    dict(type='gcp_mm.CheckpointCoverageHook'),
    dict(type='gcp_mm.NumClassesCheckHook'),
    dict(type='gcp_mm.CocoCheckHook'),
    dict(type='gcp_mm.FiniteCheckHook'),
    dict(type='gcp_mm.PretrainedCoverageHook'),
    dict(type='gcp_mm.ResumeCheckHook'),
    dict(type='gcp_mm.LogIntervalHook'),
]
