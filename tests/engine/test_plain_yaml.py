"""Configs in YAML run nothing."""

import mmengine
import pytest
from mmengine.config import Config

from gcp_mm.engine.config import load_config
from gcp_mm.errors import UserError

RUNS = "epochs: 3\nmodel: !!python/object/apply:os.system ['touch {marker}']\n"


@pytest.mark.parametrize("suffix", ["yml", "yaml"])
@pytest.mark.parametrize("how", ["itself", "base"])
def test_tag_that_runs_code_is_refused(tmp_path, suffix, how):
    marker, config = tmp_path / "executed", tmp_path / f"x.{suffix}"
    config.write_text(RUNS.format(marker=marker))
    if how == "base":
        config = tmp_path / "y.py"
        config.write_text(f"_base_ = './x.{suffix}'\n")
    with pytest.raises(UserError, match=r"line 2 has the tag '!!python/object/apply:os.system'"):
        load_config(str(config))
    with pytest.raises(UserError):
        mmengine.load(str(tmp_path / f"x.{suffix}"))
    assert not marker.exists()


@pytest.mark.parametrize("tag", ["name:os.system", "module:antigravity", "object/new:os.x []"])
def test_other_tags_of_python_are_refused(tmp_path, tag):
    (tmp_path / "x.yml").write_text(f"a: !!python/{tag}\n")
    with pytest.raises(UserError, match=r"line 1 has the tag '!!python/"):
        mmengine.load(str(tmp_path / "x.yml"))


def test_what_mmengine_writes_comes_back(tmp_path):
    content = dict(scale=(224, (1, 2)), lr=1e-3, names=["a", None], on=True)
    Config(content).dump(tmp_path / "x.yml")
    assert "python/tuple" in (tmp_path / "x.yml").read_text()
    assert Config.fromfile(tmp_path / "x.yml").to_dict() == content
