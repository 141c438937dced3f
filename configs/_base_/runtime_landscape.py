_base_ = './runtime_classification.py'

# At the end of the stem, 50 steps; the range and the interval are those of the backbone.
custom_hooks = [*_base_.custom_hooks, dict(type='gcp_mm.LandscapeHook')]
