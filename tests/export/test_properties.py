"""What an exported file says about itself."""

import hashlib
import json

import pytest
import torch
from mmengine.config import Config

from gcp_mm.export.numeric_check import Logits
from gcp_mm.export.properties import class_names, properties


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("to_rgb", [False, True])
def test_input_is_described(small_network, tmp_path, normalise, to_rgb):
    network = small_network("resnet50")
    network.data_preprocessor.to_rgb = to_rgb
    checkpoint = tmp_path / "a.pth"
    checkpoint.write_bytes(b"weights")
    logits = Logits(network, scores=normalise, normalise=normalise)
    found = properties(logits, checkpoint, "name", (32, 48), None if to_rgb else 4)
    batch, channels = ("batch", "RGB") if to_rgb else (4, "BGR")
    values = "pixels of 0 to 255" if normalise else "(pixel - mean) / std"
    assert found["input"] == f"images, float32 ({batch}, 3, 32, 48), {channels}, {values}"
    assert found["channels"] == channels
    assert found["output"] == ("scores (softmax)" if normalise else "logits")
    assert found["checkpoint_sha256"] == hashlib.sha256(b"weights").hexdigest()
    if normalise:
        assert "mean" not in found
    else:
        assert json.loads(found["mean"]) == [123.675, 116.28, 103.53]
        assert json.loads(found["std"]) == [58.395, 57.12, 57.375]


@pytest.mark.parametrize(
    ("meta", "dataset", "expected"),
    [
        ({"dataset_meta": {"classes": ("a", "b")}}, {}, ["a", "b"]),
        ({"dataset_meta": {"classes": ("a", "b")}}, {"classes": ["c", "d"]}, ["a", "b"]),
        ({"dataset_meta": {"classes": ("a", "b", "c")}}, {"classes": ["c", "d"]}, ["c", "d"]),
        ({}, {"metainfo": {"classes": ["c", "d"]}}, ["c", "d"]),
        (None, {"type": "RepeatDataset", "dataset": {"classes": ["c", "d"]}}, ["c", "d"]),
        ({}, {"classes": "names.txt"}, None),
    ],
)
def test_class_names(tmp_path, meta, dataset, expected):
    path = tmp_path / "a.pth"
    torch.save({"state_dict": {}, **({} if meta is None else {"meta": meta})}, path)
    cfg = Config({"test_dataloader": {"dataset": {"type": "CustomDataset", **dataset}}})
    assert class_names(cfg, path, 2) == expected


@pytest.mark.parametrize("split", ["test", "val"])
def test_class_names_of_imagenet(tmp_path, split):
    path = tmp_path / "a.pth"
    torch.save({"state_dict": {}}, path)
    cfg = Config({f"{split}_dataloader": {"dataset": {"type": "ImageNet"}}})
    names = class_names(cfg, path, 1000)
    assert names[0].startswith("tench") and len(names) == 1000
