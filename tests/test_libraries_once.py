"""What is kept of a file is not kept longer than the file."""

import os

import libraries_once
from mmengine.config import Config


def test_a_published_config_is_read_again_only_if_a_base_has_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(libraries_once, "CONFIGS", f"{tmp_path}{os.sep}")
    base, config = tmp_path / "base.py", tmp_path / "config.py"
    base.write_text("a = dict(b=[1])")
    config.write_text("_base_ = 'base.py'\nc = 2")
    first = Config.fromfile(config)
    first.a.b.append(3)
    assert Config.fromfile(config).a.b == [1]
    read = []
    monkeypatch.setattr(Config, "_merge_a_into_b", lambda *_: read.append(1))
    Config.fromfile(config)
    monkeypatch.undo()
    monkeypatch.setattr(libraries_once, "CONFIGS", f"{tmp_path}{os.sep}")
    assert not read
    base.write_text("a = dict(b=[4])")
    os.utime(base, ns=(0, 1))
    assert Config.fromfile(config).a.b == [4]
