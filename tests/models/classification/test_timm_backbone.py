import sys

import pytest
import torch
from mmpretrain.registry import MODELS

from gcp_mm.checkpoints import pretrained
from gcp_mm.engine.preflight import check_start
from gcp_mm.errors import CheckpointMismatchError, UserError
from gcp_mm.models.classification import TIMMBackbone
from gcp_mm.models.classification.timm_backbone import find_spec

# Channels and positions of an image of 64 x 64.
MAPS = {
    "resnet10t": ({}, (512, 2, 2)),
    "test_vit": ({"img_size": 64}, (64, 16, 1)),  # a class token and a register beside them
    "swin_s3_tiny_224": (
        {"img_size": 64, "embed_dim": 8, "depths": (1, 1), "num_heads": (1, 1), "window_size": 4},
        (16, 8, 8),
    ),
}


@pytest.fixture
def timm():
    return pytest.importorskip("timm")


@pytest.mark.parametrize("name", MAPS)
def test_every_network_gives_a_map_of_its_features(timm, name):
    options, shape = MAPS[name]
    backbone = TIMMBackbone(name, **options).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        (found,) = backbone(images)
        features = backbone.timm_model.forward_features(images)
    assert found.shape == (2, *shape)
    if name == "test_vit":
        skipped = backbone.timm_model.num_prefix_tokens
        features = backbone.timm_model.fc_norm(features[:, skipped:]).mT.unsqueeze(-1)
    elif name.startswith("swin"):
        features = features.permute(0, 3, 1, 2)
    assert torch.equal(found, features)


def test_maps_of_the_stages_come_channels_first(timm):
    options, _ = MAPS["swin_s3_tiny_224"]
    backbone = TIMMBackbone("swin_s3_tiny_224", features_only=True, **options).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found, theirs = backbone(images), backbone.timm_model(images)
    assert [tuple(features.shape) for features in found] == [(2, 8, 16, 16), (2, 16, 8, 8)]
    assert all(torch.equal(a, b.permute(0, 3, 1, 2)) for a, b in zip(found, theirs, strict=True))


@pytest.mark.parametrize("name", ["volo_d1_224", "pit_ti_224"])
def test_class_token_at_an_unknown_place_is_refused(timm, name):
    with torch.device("meta"), pytest.raises(UserError, match=f"'{name}' has a class token.*only"):
        TIMMBackbone(name)


def test_stages_of_a_network_with_such_a_class_token_serve(timm):
    backbone = TIMMBackbone("pit_ti_224", features_only=True).eval()
    with torch.no_grad():
        assert backbone(torch.randn(1, 3, 224, 224))[-1].shape == (1, 256, 7, 7)


@pytest.mark.parametrize("shape", [(2, 64), (2, 2, 64)])  # pooled; one position
def test_features_of_one_position_are_refused(timm, monkeypatch, shape):
    backbone = TIMMBackbone("test_vit", img_size=64)
    monkeypatch.setattr(backbone.timm_model, "forward", lambda images: torch.zeros(shape))
    with pytest.raises(UserError, match=r"are no map of several positions; set model\.backbone"):
        backbone(torch.zeros(2, 3, 64, 64))


UNBUILT = {
    "coat_tiny": ({}, "'coat_tiny' .*AssertionError: .*features_only=True"),
    "test_resnet": ({"frozen_stages": 4}, "TypeError: .*frozen_stages.*custom_keys.backbone"),
    "test_vit": ({"widht": 8}, "'test_vit' .*widht=8: TypeError: .*'widht'$"),
}


@pytest.mark.parametrize("name", UNBUILT)
def test_network_that_timm_cannot_build_is_one_line(timm, name):
    options, message = UNBUILT[name]
    with torch.device("meta"), pytest.raises(UserError, match=message):
        TIMMBackbone(name, **options)


def test_network_without_weights_of_timm_is_one_line(timm):
    message = r"'resnetblur18' its weights \(pretrained=True\): RuntimeError: No pretrained"
    with torch.device("meta"), pytest.raises(UserError, match=message):
        TIMMBackbone("resnetblur18", pretrained=True)


@pytest.mark.parametrize("pretrained", [True, False])
def test_name_of_weights_that_timm_has_not_is_told(timm, pretrained):
    message = r"Invalid pretrained tag \(nonsense\) for resnet18.*timm.list_pretrained"
    with torch.device("meta"), pytest.raises(UserError, match=message):
        TIMMBackbone("resnet18.nonsense", pretrained=pretrained)


@pytest.mark.parametrize("kind", [FileNotFoundError, ConnectionError, RuntimeError, Exception])
def test_weights_that_cannot_be_fetched_are_one_line_with_a_way_out(timm, monkeypatch, kind):
    """Errors of the hub are of these, and some of nothing else that is common to them."""

    class Unreachable(kind):
        pass

    def fetch(*_, **__):
        raise Unreachable("cannot find the file\nand the hub cannot be reached")

    monkeypatch.setattr(timm, "create_model", fetch)
    with pytest.raises(UserError) as error:
        TIMMBackbone("resnet18", pretrained=True)
    text = str(error.value)
    assert len(text.splitlines()) == 1 and "'resnet18' its weights" in text
    assert "Unreachable: cannot find the file; " in text
    assert "model.backbone.init_cfg.checkpoint=FILE" in text
    # Without weights to fetch it is no failure of the hub.
    with pytest.raises((Unreachable, UserError)) as error:
        TIMMBackbone("resnet18")
    assert "init_cfg" not in str(error.value)


@pytest.fixture
def files(timm, tmp_path):
    """Return weights of timm's smallest residual network in its own file and in mmpretrain's."""
    torch.manual_seed(1)
    source = timm.create_model("test_resnet")
    own, ours = tmp_path / "timm.pth", tmp_path / "ours.pth"
    torch.save(source.state_dict(), own)
    trunk = {f"backbone.timm_model.{k}": v for k, v in source.state_dict().items() if "fc" not in k}
    torch.save({"state_dict": trunk}, ours)
    return source, {None: own, "backbone.": ours}


@pytest.mark.parametrize("prefix", [None, "backbone."])
def test_pretrained_file_is_loaded_whole(files, monkeypatch, prefix):
    said = []
    monkeypatch.setattr(pretrained, "log", said.append)
    source, paths = files
    init_cfg = dict(type="Pretrained", checkpoint=str(paths[prefix]), prefix=prefix)
    backbone = TIMMBackbone("test_resnet", init_cfg=init_cfg)
    backbone.init_weights()
    found, expected = backbone.timm_model.state_dict(), source.state_dict()
    assert expected.keys() - found.keys() == {"fc.weight", "fc.bias"}
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())
    counted = sum(not name.endswith("num_batches_tracked") for name in found)
    (line,) = said
    assert line.endswith(f"loaded {counted} of {counted} tensors")


def test_file_of_another_network_is_refused(files):
    init_cfg = dict(type="Pretrained", checkpoint=str(files[1][None]))
    deeper = TIMMBackbone("test_resnet", layers=(2, 1, 1, 1), init_cfg=init_cfg)
    with pytest.raises(CheckpointMismatchError, match="loaded 75 of 85 tensors; not in the file"):
        deeper.init_weights()
    with pytest.raises(CheckpointMismatchError, match="loaded 0 of"):
        TIMMBackbone("test_vit", init_cfg=init_cfg).init_weights()


def test_timm_reads_no_file_itself(timm):
    with pytest.raises(UserError, match="model.backbone.init_cfg=.*checkpoint='file.pth'"):
        TIMMBackbone("test_resnet", checkpoint_path="file.pth")


def test_unknown_network_is_refused_with_its_neighbours(timm):
    with pytest.raises(UserError, match="no network 'resnet19'; did you mean .*resnet18"):
        TIMMBackbone("resnet19")


def test_absent_timm_is_named_with_the_extra(monkeypatch):
    def find(name):
        return None if name == "timm" else find_spec(name)

    monkeypatch.setattr(sys.modules[TIMMBackbone.__module__], "find_spec", find)
    with pytest.raises(UserError, match=r"'resnet18' .*pip install timm .*gcp_mm\[timm\]"):
        MODELS.build(dict(type="gcp_mm.TIMMBackbone", model_name="resnet18"))


@pytest.mark.parametrize("kind", ["gcp_mm.TIMMBackbone", "TIMMBackbone"])
def test_weights_that_timm_fetches_are_a_start_that_fine_tuning_accepts(kind):
    from mmengine.config import Config

    backbone = dict(type=kind, model_name="resnet18", pretrained=True)
    cfg = Config(dict(model=dict(backbone=backbone)))
    if kind.startswith("gcp_mm."):
        check_start(cfg, required=True)
        return
    with pytest.raises(UserError, match="load_from is empty"):
        check_start(cfg, required=True)
