"""The scheme ``gcp_mm://``.

The rows among mmpretrain's models.
"""

import hashlib
import re

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.apis import model as model_module

import gcp_mm.zoo.weights
from gcp_mm.errors import CheckpointMismatchError, CheckpointNotFoundError, UserError
from gcp_mm.zoo import find_row, load_rows, weights
from gcp_mm.zoo.weights import origin, register_models

pytest.importorskip("mmengine")


NAME = "resnet18_gcp_lrnorm"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, small_row):
    """Work where nothing is, with a row that has three parameters."""
    monkeypatch.setattr(weights, "find_row", lambda name: small_row(name, parameters=3))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path


@pytest.fixture
def said(monkeypatch):
    """Collect what is logged."""
    lines = []
    monkeypatch.setattr("gcp_mm.first_process.log", lines.append)
    return lines


def save(folder, content, name=NAME):
    path = folder / f"checkpoints/{name}.pth"
    torch.save(content, path)
    return path


def network(value=1.0):
    return {
        "backbone.w": torch.full((3,), value),
        "backbone.bn.running_mean": torch.ones(7),
    }


def load(name=NAME):
    return CheckpointLoader.load_checkpoint(f"gcp_mm://{name}", "cpu")


def test_file_is_loaded_from_checkpoints(folder):
    save(folder, {"state_dict": network()})
    assert torch.equal(load()["state_dict"]["backbone.w"], torch.ones(3))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_that_a_wrapper_has_lengthened(folder, prefix):
    save(folder, {f"{prefix}{name}": tensor for name, tensor in network().items()})
    # mmengine takes this one off by itself.
    assert {name.removeprefix("module.") for name in load()} == network().keys()


def test_safetensors_is_found_where_there_is_no_pth(folder):
    library = pytest.importorskip("safetensors.torch")
    library.save_file(network(), folder / f"checkpoints/{NAME}.safetensors")
    assert load()["backbone.w"].sum() == 3
    save(folder, network(0.0))
    assert load()["backbone.w"].sum() == 0


@pytest.mark.parametrize(
    ("meta", "named"),
    [
        (None, "of unknown origin: nothing in the file says that it is the authors'"),
        (
            {"epoch": 7, "experiment_name": "mine"},
            r"trained here \(mine, epoch 7\), not the authors'",
        ),
        (
            {"conversion": {"row": NAME, "source": "a.pth.tar", "sha256": "1" * 64}},
            r"converted from a.pth.tar \(sha256 1{64}\); no sha256 of the authors' file is ",
        ),
    ],
)
def test_which_file_it_is_is_said(folder, said, meta, named):
    path = save(folder, {"state_dict": network()} | ({"meta": meta} if meta else {}))
    load()
    (line,) = [text for text in said if text.startswith("weights of")]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"weights of {NAME}: checkpoints/{NAME}.pth (sha256 {digest}): " in line
    assert re.search(named, line)


def test_recorded_digest_decides(small_row):
    loaded = {"state_dict": {}, "meta": {"conversion": {"source": "a", "sha256": "1" * 64}}}
    assert "which is the authors' file" in origin(loaded, small_row(sha256="1" * 64))
    assert "which is NOT the authors' file" in origin(loaded, small_row(sha256="2" * 64))


@pytest.mark.parametrize("meta", [["epoch"], "epoch", 3, None])
def test_odd_meta_says_nothing(small_row, meta):
    assert origin({"state_dict": {}, "meta": meta}, small_row()).startswith("of unknown origin")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"backbone.w": torch.ones(4)}, "holds 4 parameters, and resnet18_gcp_lrnorm has 3"),
        ({"conv1.weight": torch.ones(3)}, "not in the layout of mmpretrain: it has conv1.weight"),
        (
            {
                "state_dict": {"backbone.w": torch.ones(3)},
                "meta": {"conversion": {"row": "resnet18_gcp_lrfast"}},
            },
            "says that it holds the weights of 'resnet18_gcp_lrfast', not of resnet18_gcp_lrnorm",
        ),
        ([1], "holds a list instead of a dict"),
    ],
)
def test_file_that_cannot_be_the_rows_is_refused(folder, content, reason):
    save(folder, content)
    error = UserError if isinstance(content, list) else CheckpointMismatchError
    with pytest.raises(error, match=f"checkpoints/{NAME}.pth.*{reason}"):
        load()


def test_absent_file_says_how_to_get_it():
    with pytest.raises(CheckpointNotFoundError, match=f"'checkpoints/{NAME}.pth'") as caught:
        load()
    for part in (f"gcp-mm zoo download {NAME}", "pretrained='PATH'", "pretrained=False"):
        assert part in str(caught.value)


def test_unknown_row(monkeypatch):
    monkeypatch.setattr(weights, "find_row", find_row)
    with pytest.raises(UserError, match="no row 'resnet19_gcp_lrnorm'.*resnet18_gcp_lrnorm"):
        load("resnet19_gcp_lrnorm")


@pytest.mark.slow
@pytest.mark.parametrize("name", [NAME, "shufflenetv2_gap_lrfast"])
def test_network_of_a_row_is_accepted(name):
    """Its config says which tensors it has; the metafile, how many parameters."""
    mmpretrain = pytest.importorskip("mmpretrain")
    weights._check_row(mmpretrain.get_model(name).state_dict(), find_row(name), "x.pth")


mmpretrain = pytest.importorskip("mmpretrain")

CLASSIFIERS = sorted(row.name for row in load_rows() if row.task == "classification")


@pytest.mark.parametrize("imports", ["gcp_mm, mmpretrain", "mmpretrain, gcp_mm.registry"])
def test_order_of_imports_does_not_matter(run_warm, tmp_path, imports):
    code = f"import {imports}; print(*mmpretrain.list_models('*_g[ac]p_lr'))"
    process = run_warm("-c", code, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == [name for name in CLASSIFIERS if "dropcov" not in name]


def test_every_classifier_and_no_detector():
    for pooling in ("gcp", "dropcov"):
        found = mmpretrain.list_models(f"*{pooling}*")
        assert found == [name for name in CLASSIFIERS if pooling in name]
    assert set(CLASSIFIERS) <= set(mmpretrain.list_models(task="Image Classification"))
    assert mmpretrain.list_models("*rcnn*") == []


def test_again_changes_nothing():
    before = dict(model_module.ModelHub._models_dict)
    register_models(model_module)
    assert model_module.ModelHub._models_dict == before


@pytest.mark.slow
def test_models_of_mmpretrain_keep_their_weights():
    assert model_module.ModelHub.get("resnet18_8xb32_in1k").weights.startswith("https://")


def test_pretrained_weights_that_are_not_there_are_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="gcp-mm zoo download shufflenetv2_gap_lrnorm"):
        mmpretrain.get_model("shufflenetv2_gap_lrnorm", pretrained=True)


def test_without_metafiles_mmpretrain_can_still_be_imported(monkeypatch):
    def absent():
        raise UserError("the model zoo is not here")

    monkeypatch.setattr(gcp_mm.zoo.weights, "zoo_root", absent)
    with pytest.warns(UserWarning, match="not registered: the model zoo is not here"):
        register_models(model_module)
