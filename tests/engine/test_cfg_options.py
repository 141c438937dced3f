"""Values of --cfg-options: paths as they were typed, all else as mmengine reads it."""

import argparse
import math

import pytest
from mmengine.config import Config, DictAction

from gcp_mm.engine.cfg_options import OptionsAction, read_options
from gcp_mm.engine.config import add_common_arguments, load_config

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


def test_later_words_and_options_win(tmp_path):
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction)
    words = ["--cfg-options", "a=1", "b=2", "a=3", "--cfg-options", "b=c=d"]
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
