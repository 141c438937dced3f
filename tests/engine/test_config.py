"""From the command line to a config."""

import argparse

import pytest
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope

from gcp_mm.engine.cfg_options import read_options
from gcp_mm.engine.config import add_common_arguments, load_config
from gcp_mm.errors import UserError

BROKEN = {
    "syntax": ("model = dict(", "never closed"),
    "base": ("_base_ = './absent.py'", "absent.py"),
    "name": ("model = dict(depth=depht)", "depht"),
    "twice": ("_base_ = ['./a.py', './b.py']", "lr"),
    "import": ("custom_imports = dict(imports=['no_such_module'])", "no_such_module"),
}


@pytest.fixture
def write(tmp_path):
    def write(text, name="net.py"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("text", "argument", "expected"),
    [
        ("", None, "work_dirs/net"),
        ("work_dir = None", None, "work_dirs/net"),
        ("work_dir = 'own'", None, "own"),
        ("work_dir = 'own'", "given", "given"),
    ],
)
def test_priority_of_work_folders(write, text, argument, expected):
    assert load_config(write(text), work_dir=argument).work_dir == expected


def test_options_replace_settings(write):
    path = write("model = dict(depth=50, neck=dict(d=256))\nsteps = [1, 2]\nwork_dir = 'own'")
    options = {"model.neck.d": 64, "steps": [3], "train_cfg.max_epochs": 1, "work_dir": "w"}
    cfg = load_config(path, options, launcher="pytorch")
    assert cfg.model == {"depth": 50, "neck": {"d": 64}}
    assert cfg.steps == [3]
    assert cfg.train_cfg.max_epochs == 1
    assert (cfg.work_dir, cfg.launcher) == ("w", "pytorch")


def test_config_of_a_package():
    cfg = load_config("mmpretrain::resnet/resnet18_8xb32_in1k.py", {"model.head.num_classes": 5})
    assert cfg.model.backbone.depth == 18 and cfg.model.head.num_classes == 5
    assert cfg.work_dir == "work_dirs/resnet18_8xb32_in1k"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("no_such_package::resnet/a.py", "there is no package 'no_such_package'"),
        ("../x::resnet/a.py", "there is no package '../x'"),
        ("mmpretrain::resnet/absent.py", "cannot be read: FileNotFoundError"),
    ],
)
def test_missing_config_of_a_package(path, named):
    with pytest.raises(UserError, match=named) as caught:
        load_config(path)
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize("path", ["configs/absent.py", "."])
def test_missing_config(monkeypatch, tmp_path, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="does not exist|is no file") as caught:
        load_config(path)
    assert repr(path) in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_config_is_named_with_the_reason(write, kind):
    text, reason = BROKEN[kind]
    write("lr = 1", "a.py")
    write("lr = 2", "b.py")
    path = write(text)
    with pytest.raises(UserError, match="cannot be read") as caught:
        load_config(path)
    assert path in str(caught.value)
    assert reason in str(caught.value)


def test_option_that_does_not_fit_is_named(write):
    path = write("depth = 50")
    with pytest.raises(UserError, match="depth.stages.*--cfg-options|--cfg-options.*depth.stages"):
        load_config(path, {"depth.stages": 3})


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser()
    add_common_arguments(parser)
    return parser


def test_options_are_typed(parser):
    words = "net.py --cfg-options a.b=1 c=[1,2] d=None e=x f=True g=0.5".split()
    options = read_options(parser.parse_args(words).cfg_options, {})
    assert options == {"a.b": 1, "c": [1, 2], "d": None, "e": "x", "f": True, "g": 0.5}


@pytest.mark.parametrize("spelling", ["--local_rank=1", "--local-rank=1"])
def test_launchers_may_pass_the_rank(parser, spelling):
    assert parser.parse_args(["net.py", spelling]).local_rank == 1


def test_option_without_value_is_a_usage_error(parser, capsys):
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["net.py", "--cfg-options", "train_cfg.max_epochs"])
    assert caught.value.code == 2
    assert "KEY=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mask_rcnn_r50_gcpm", "imagenet/resnet18_gcp_lrnorm"])
def test_config_of_this_project_by_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    cfg = load_config(f"gcp_mm::{name}.py")
    assert cfg.filename.endswith(f"/configs/{name}.py")
    assert cfg.work_dir == f"work_dirs/{name.rpartition('/')[2]}"


def test_missing_config_of_this_project_is_named():
    with pytest.raises(UserError, match=r"configs/absent.py' does not exist .*gcp_mm::NAME.py"):
        load_config("gcp_mm::absent.py")


USERS = """
_base_ = 'gcp_mm::imagenet/resnet18_gcp_lrnorm.py'
model = dict(head=dict(num_classes=3))
"""


def test_config_over_one_of_this_project_is_built_in_its_scope(write):
    """mmengine marks all that comes from the base with the scope gcp_mm, which has no head."""
    pytest.importorskip("mmpretrain")
    cfg = load_config(write(USERS))
    assert "'_scope_': 'gcp_mm'" not in str(cfg._cfg_dict)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        network = MODELS.build(cfg.model)
        pipeline = [TRANSFORMS.build(step) for step in cfg.train_pipeline]
    assert network.head.num_classes == 3
    assert type(network.neck).__module__.startswith("gcp_mm.")
    assert len(pipeline) == len(cfg.train_pipeline)


def test_missing_settings_are_named(write):
    path = write("train_cfg = None\nmodel = dict()\noptim_wrapper = 1")
    with pytest.raises(UserError, match="does not set train_cfg, train_dataloader: name a compl"):
        load_config(path, needs=["train_cfg", "train_dataloader", "optim_wrapper"])


def test_model_that_is_none(write):
    with pytest.raises(UserError, match="model is 1, and has to be dict"):
        load_config(write("model = 1"), needs=["model"])
