"""The text of a config is read as data."""

import pytest
from mmengine.config import Config

from gcp_mm.checkpoints.config_text import changes, read_config_text

VALUES = dict(
    model=dict(type="M", depth=18, mean=[1.5, -2.0], mode=None, wide=True, shape=(3, 4)),
    param_scheduler=[dict(type="A", milestones=[1, 2]), dict(type="B")],
    names={"a b": 1},
)


def test_text_of_a_checkpoint_gives_the_values_of_its_config(repo):
    found = read_config_text(Config(VALUES).pretty_text)
    expected = {**VALUES, "model": {**VALUES["model"], "shape": [3, 4]}}
    assert found == expected
    cfg = Config.fromfile(repo / "configs/mask_rcnn_r50_gcpm.py")
    found = read_config_text(cfg.pretty_text)
    assert found["model"]["rpn_head"]["anchor_generator"]["ratios"] == [0.5, 1.0, 2.0]
    assert found["optim_wrapper"] == cfg.optim_wrapper.to_dict()


HOSTILE = {
    "call": "model = __import__('os').system('touch {ran}')",
    "statement": "import os\nos.system('touch {ran}')",
    "decorator": "@__import__('os').system('touch {ran}')\ndef f(): pass",
    "nested": "model = " + "[" * 5000 + "]" * 5000,
    "deep": "model = " + "-" * 100_000 + "1",
    "long": "x = 1\n" * 1_000_000,
    "null": "model = 1\0",
    "no text": 7,
    "no code": "model = (",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_is_run_and_nothing_fails(tmp_path, kind):
    text = HOSTILE[kind]
    if isinstance(text, str):
        text = text.replace("{ran}", str(tmp_path / "ran"))
    read_config_text(text)
    assert not (tmp_path / "ran").exists()


def test_differences_are_named_by_their_keys():
    new = read_config_text(Config(VALUES).pretty_text)
    old = read_config_text(Config(VALUES).pretty_text)
    assert list(changes(old, new, "x")) == []
    new["model"].update(depth=50, init_cfg=dict(checkpoint="y.pth"))
    new["param_scheduler"][0]["milestones"] = [1, 3]
    del new["names"]
    assert sorted(changes(old, new, "x")) == [
        "x.model.depth: 18, now 50",
        "x.names: {'a b': 1}, now None",
        "x.param_scheduler.0.milestones.1: 2, now 3",
    ]
