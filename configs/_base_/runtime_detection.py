_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(imports=['gcp_mm.registry'], allow_failed_imports=False)
# The environment, the config and the list of hooks go to the log file alone.
runner_type = 'gcp_mm.QuietRunner'
default_hooks = dict(
    checkpoint=dict(
        type='gcp_mm.CheckpointHook',
        interval=1,
        max_keep_ckpts=3,
        backend_args=dict(backend='gcp_mm_atomic')),
    # Here, and not in custom_hooks, which a config of one's own replaces as a whole.
    work_folder=dict(type='gcp_mm.WorkFolderHook'))
custom_hooks = [
    dict(type='gcp_mm.BatchSizeCheckHook'),
    dict(type='gcp_mm.CheckpointCoverageHook'),
    dict(type='gcp_mm.NumClassesCheckHook'),
    dict(type='gcp_mm.CocoCheckHook'),
    dict(type='gcp_mm.FiniteCheckHook'),
    dict(type='gcp_mm.PretrainedCoverageHook'),
    dict(type='gcp_mm.ResumeCheckHook'),
    dict(type='gcp_mm.LogIntervalHook'),
    dict(type='gcp_mm.LoaderWorkersHook'),
]
