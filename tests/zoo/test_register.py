"""The rows among mmpretrain's models."""

import pytest

import gcp_mm.zoo.weights
from gcp_mm.errors import UserError
from gcp_mm.zoo import load_rows
from gcp_mm.zoo.weights import register_models

mmpretrain = pytest.importorskip("mmpretrain")
from mmpretrain.apis import model as model_module  # noqa: E402

CLASSIFIERS = sorted(row.name for row in load_rows() if not row.detector)


@pytest.mark.parametrize("imports", ["gcp_mm, mmpretrain", "mmpretrain, gcp_mm.registry"])
def test_order_of_imports_does_not_matter(run_tool, tmp_path, imports):
    code = f"import {imports}; print(*mmpretrain.list_models('*_g[ac]p_lr'))"
    process = run_tool("-c", code, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == CLASSIFIERS


def test_every_classifier_and_no_detector():
    assert mmpretrain.list_models("*gcp*") == [name for name in CLASSIFIERS if "gcp" in name]
    assert set(CLASSIFIERS) <= set(mmpretrain.list_models(task="Image Classification"))
    assert mmpretrain.list_models("*rcnn*") == []


def test_again_changes_nothing():
    before = dict(model_module.ModelHub._models_dict)
    register_models(model_module)
    assert model_module.ModelHub._models_dict == before


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
