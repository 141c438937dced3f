import json

import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.report.models import read_models

from .conftest import clips


def test_files_of_one_name_are_one_network(constant, result):
    files = [constant("a"), constant("b"), result("imagenet-p", "a", clips(0.1, 2.0))]
    models = read_models(files)
    assert [(model.name, list(model.results)) for model in models] == [
        ("a", ["imagenet-c", "imagenet-p"]),
        ("b", ["imagenet-c"]),
    ]
    assert models[0].paths == {"imagenet-c": files[0], "imagenet-p": files[2]}
    assert [model.name for model in read_models(files[:2], ["x", "y"])] == ["x", "y"]


@pytest.mark.parametrize("key", ["checkpoint_sha256", "config_sha256"])
def test_one_name_and_other_weights_are_refused(constant, result, key):
    files = [constant("a"), result("imagenet-p", "a", clips(0.1, 2.0), **{key: "other"})]
    with pytest.raises(UserError, match="are both 'a', and of different networks.*--names"):
        read_models(files)


def test_one_name_twice_is_refused(constant):
    files = [constant("a"), constant("a")]
    with pytest.raises(UserError, match="0_imagenet-c.*1_imagenet-c.* 'a' on imagenet-c.*--names"):
        read_models(files)
    assert len(read_models(files, ["a", "b"])) == 2
    with pytest.raises(UserError, match="1 --names for 2 files"):
        read_models(files, ["a"])


def test_other_files_are_named(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(UserError, match=r"x\.json' does not exist"):
        read_models([path])
    path.write_text(json.dumps({"format": "gcp_mm corruptions"}))
    with pytest.raises(UserError, match=r"x\.json' is not"):
        read_models([path])
