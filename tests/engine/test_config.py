"""From the command line to a config: paths as typed, other values as mmengine reads them."""

import argparse
import inspect
import math
import re
import subprocess
import sys

import pytest
from mmengine.config import Config, DictAction
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from mmengine.runner import FlexibleRunner, Runner

from gcp_mm import first_process
from gcp_mm.engine.config import add_common_arguments, load_config, read_options
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
def lines(monkeypatch):
    found = []
    monkeypatch.setattr(first_process, "warn", found.append)
    return found


NEW = {
    "neck.method": "no setting 'neck' .*; did you mean model.neck.method\\?$",
    "train_dataloder.batch_size": "; did you mean train_dataloader.batch_size\\?$",
    "zzz": "no setting 'zzz' and nothing is known to read one: it has no effect$",
}


@pytest.mark.parametrize("option", NEW)
def test_option_that_nothing_reads_is_warned_of(write, lines, option):
    cfg = load_config(write("model = dict(neck=dict(d=2))"), {option: 1})
    (line,) = lines
    assert line.startswith(f"--cfg-options {option}: ") and re.search(NEW[option], line)
    assert option.partition(".")[0] in cfg


def test_option_that_nothing_reads_is_warned_of_by_the_first_process(write, lines, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    load_config(write(""), {"zzz": 1}, launcher="pytorch")
    assert lines == []
    load_config(write(""), {"zzz": 1})
    assert len(lines) == 1


def test_settings_that_a_runner_reads_may_be_new(write, lines):
    arguments = set(inspect.signature(FlexibleRunner.__init__).parameters)
    arguments |= set(inspect.signature(Runner.__init__).parameters)
    extras = ("compile", "find_unused_parameters", "tta_model.type", "runner_type", "lr.x")
    load_config(write("lr = dict(y=1)"), dict.fromkeys([*arguments - {"self", "cfg"}, *extras], 1))
    assert lines == []


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


def test_all_parts_of_a_value_with_blanks_are_named(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(["net.py", "--cfg-options", "root=my", "black", "a=1", "cats"])
    said = " ".join(capsys.readouterr().err.split())
    assert "--cfg-options: expected KEY=VALUE, got black, cats; " in said
    assert "quotes" in said


def test_values_are_read_without_mmengine():
    """Help and refusals of the command line wait for no import, and no private name is used."""
    code = (
        "import sys; from gcp_mm.engine.config import OptionText, read_options; "
        "print(read_options({'a': OptionText('[1,0.5,True,None,b,007]')}, {}), "
        "'mmengine' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert output.decode().strip() == "{'a': [1, 0.5, True, None, 'b', '007']} False"


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


ODD = [
    "my cats",
    " leading and trailing ",
    "it's",
    "'quoted'",
    '"quoted"',
    'say "x"',
    "$HOME and ${HOME}",
    "100%d of %s",
    "{{ fileDirname }} {x}",
    "[1]",
    "[a,b]",
    "(1,)",
    "a,b",
    "a(b",
    "a[b",
    "a=b",
    "back\\slash",
    "2024",
    "2024_01",
    "007",
    "1e3",
    "nan",
    "True",
    "æ—猫",
    "semi;colon & pipe|",
    "*?",
    "#",
]


def type_options(*words):
    parser = argparse.ArgumentParser()
    add_common_arguments(parser)
    return parser.parse_args(["net.py", "--cfg-options", *words]).cfg_options


def read(default, key, typed):
    """Return what a text typed after a key means where the config has this default."""
    cfg = Config.fromstring(default, ".py")._cfg_dict if default else {}
    (found,) = read_options(type_options(f"{key}={typed}"), cfg).values()
    return found


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("root", ["", "/data/"])
def test_path_is_taken_as_typed(name, root):
    default = "data = dict(data_root='data/x')\nload_from = None"
    assert read(default, "data.data_root", root + name) == root + name
    assert read(default, "load_from", root + name) == root + name
    assert read(default, "absent.init_cfg.checkpoint", root + name) == root + name
    assert read("data = [dict(ann_file='x')]", "data.0.ann_file", root + name) == root + name


@pytest.mark.parametrize("name", ODD)
def test_what_exists_is_taken_as_typed_under_any_key(tmp_path, name):
    place = tmp_path / name
    place.mkdir()
    assert read("weights_of = 1", "weights_of", place) == str(place)


def test_switches_and_rates_are_no_paths():
    assert read("", "model.backbone.use_checkpoint", "False") is False
    assert read("", "model.backbone.layer_cfgs.drop_path", "0.1") == 0.1


def test_none_takes_a_path_back():
    assert read("load_from = 'x.pth'", "load_from", "None") is None
    assert read("load_from = 'x.pth'", "load_from", "./None") == "./None"


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "-3",
        "1e-3",
        "0.5",
        "True",
        "false",
        "None",
        "bbox",
        "[1,2]",
        "(1,)",
        "(1,2)",
        "[]",
        "()",
    ]
    + ["1,2", "a,b", "[a,b]", "[(1,2),(3,4)]", "[[1,2],(a,None)]", "coco/a,coco/b", "[0.1,True]"]
    + ["dynamic", "512.", "'[1,2]'", '"x"', "[(1,2,3),[a,b],c]", "inf", "a.b-c"],
)
@pytest.mark.parametrize("default", ["metric = 'bbox'", "metric = [1]", "metric = None", ""])
def test_all_else_is_what_mmengine_reads(text, default):
    assert read(default, "metric", text) == DictAction._parse_iterable(text)


@pytest.mark.parametrize("default", ["classes = ('a', 'b')", "classes = None"])
def test_blanks_and_quotes_within_names_stay(default):
    found = read(default, "classes", "(traffic light, kid's toy ,'stop sign',12)")
    assert found == ("traffic light", "kid's toy", "stop sign", 12)


def test_list_of_paths_replaces_a_list():
    assert read("ann_file = ['x']", "ann_file", "[/a b/c,/d]") == ["/a b/c", "/d"]


@pytest.mark.parametrize("text", ["2024_01", "007", "a]", "traffic light", "'", "[a](b)"])
def test_what_is_no_number_and_no_list_stays_text(text):
    assert read("split = 'x'", "split", text) == text


def test_not_a_number_is_a_number():
    assert math.isnan(read("value = 1", "value", "nan"))


def test_later_words_and_options_win(parser):
    words = ["net.py", "--cfg-options", "a=1", "b=2", "a=3", "--cfg-options", "b=c=d"]
    assert parser.parse_args(words).cfg_options == {"a": "3", "b": "c=d"}


@pytest.mark.parametrize("name", ["my cats", "a,b", "[1]", "it's {{x}} $y %d"])
def test_path_reaches_the_config_as_typed(tmp_path, name):
    path = tmp_path / "net.py"
    path.write_text("data = [dict(data_root='x', other=[1])]")
    cfg = load_config(str(path), type_options(f"data.0.data_root={name}", "data.0.other=[2,3]"))
    assert cfg.data == [dict(data_root=name, other=[2, 3])]


def test_values_that_were_not_typed_are_kept(tmp_path):
    path = tmp_path / "net.py"
    path.write_text("a = 1\nb = ''")
    assert load_config(str(path), {"a": "[1]", "b": [1]})._cfg_dict.a == "[1]"


@pytest.mark.parametrize("name", ["a::b.py", "my net.py", "it's.py", "a$b%d.py", "x[1],{2}.py"])
def test_config_with_an_odd_name(tmp_path, name):
    folder = tmp_path / "mmpretrain::x [1], $y"
    folder.mkdir()
    (folder / "base.py").write_text("a = 1")
    (folder / name).write_text("_base_ = './base.py'\nb = '{{ fileDirname }}'")
    cfg = load_config(str(folder / name))
    assert isinstance(cfg, Config) and (cfg.a, cfg.b) == (1, str(folder))
