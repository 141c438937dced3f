"""The tools check runs of every config."""

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook

from gcp_mm.engine.run_hooks import add_hooks


@pytest.mark.parametrize("training", [True, False])
def test_checks_are_added_once_and_settings_stay(training):
    own = dict(type="gcp_mm.PretrainedCoverageHook", strict=True)
    cfg = Config(dict(custom_hooks=[dict(type="EMAHook"), own]))
    add_hooks(cfg, training)
    first = list(cfg.custom_hooks)
    add_hooks(cfg, training)
    assert cfg.custom_hooks == first
    assert first[:2] == [dict(type="EMAHook"), own]
    names = [hook["type"] for hook in first[2:]]
    assert names[:2] == ["gcp_mm.FiniteCheckHook", "gcp_mm.FeatureMapCheckHook"]
    assert ("gcp_mm.ResumeCheckHook" in names) == training
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "kind",
    ["CheckpointHook", "mmengine.CheckpointHook", "mmengine.hooks.CheckpointHook", CheckpointHook],
)
def test_checkpoints_of_any_config_are_written_by_our_hook(kind):
    cfg = Config(dict(default_hooks=dict(checkpoint=dict(type=kind, interval=3))))
    add_hooks(cfg, training=True)
    assert cfg.default_hooks.checkpoint == dict(
        type="gcp_mm.CheckpointHook", interval=3, backend_args=dict(backend="gcp_mm_atomic")
    )


@pytest.mark.parametrize("given", [{}, {"default_hooks": None}, {"default_hooks": {}}])
def test_hook_that_mmengine_would_add_is_ours(given):
    cfg = Config(given)
    add_hooks(cfg, training=True)
    assert cfg.default_hooks.checkpoint.type == "gcp_mm.CheckpointHook"


@pytest.mark.parametrize(
    "checkpoint",
    [
        dict(type="MyHook"),
        dict(type="other.CheckpointHook"),
        dict(type="gcp_mm.CheckpointHook", backend_args=None),
        None,
    ],
)
def test_checkpoint_hook_of_another_kind_stays(checkpoint):
    cfg = Config(dict(default_hooks=dict(checkpoint=checkpoint)))
    add_hooks(cfg, training=True)
    assert cfg.default_hooks.checkpoint == checkpoint


def test_checkpoints_elsewhere_keep_their_backend():
    hook = dict(type="CheckpointHook", out_dir="s3://bucket")
    cfg = Config(dict(default_hooks=dict(checkpoint=hook)))
    add_hooks(cfg, training=True)
    assert "backend_args" not in cfg.default_hooks.checkpoint
