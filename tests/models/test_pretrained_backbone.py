"""Weights of a classifier enter a backbone whole, or with a message, or not at all."""

import logging
import re

import pytest
import torch
from mmdet.registry import MODELS as DETECTION
from mmengine.model.weight_init import PretrainedInit
from mmpretrain.registry import MODELS as CLASSIFICATION

from gcp_mm.conversion.convert_file import write_checkpoint
from gcp_mm.errors import CheckpointMismatchError, CheckpointNotFoundError, UserError

BACKBONES = {
    "gcp_mm.GCPResNet": CLASSIFICATION,
    "gcp_mm.GCPMResNet": DETECTION,
    "gcp_mm.GCPDResNet": DETECTION,
}
NARROW = dict(base_channels=8, stem_channels=8)
TENSORS = {18: 100, 34: 180, 50: 265}  # without the counters of the batch norms


def without_counters(state_dict):
    return {n: t for n, t in state_dict.items() if not n.endswith("num_batches_tracked")}


def under(prefix, state_dict):
    """The part of a state dict below a prefix."""
    return {n.removeprefix(prefix): t for n, t in state_dict.items() if n.startswith(prefix)}


def assert_same(network, expected):
    found = without_counters(network.state_dict())
    expected = without_counters(expected)
    assert found.keys() == expected.keys()
    assert [name for name, tensor in found.items() if not torch.equal(tensor, expected[name])] == []


@pytest.fixture(params=BACKBONES)
def kind(request):
    return request.param


@pytest.fixture
def backbone(kind):
    def build(checkpoint, prefix="backbone.", depth=18, width=NARROW, **init_cfg):
        init_cfg.update(type="Pretrained", checkpoint=str(checkpoint))
        if prefix:
            init_cfg["prefix"] = prefix
        return BACKBONES[kind].build(dict(type=kind, depth=depth, init_cfg=init_cfg, **width))

    return build


@pytest.fixture(scope="module")
def weights(classifier, randomise):
    """State dict of a trained classifier with 16 channels before the covariance, by its depth."""
    cache = {}

    def of(depth):
        if depth not in cache:
            network = classifier(depth=depth, width=16, **NARROW)
            cache[depth] = randomise(network, seed=depth).state_dict()
        return cache[depth]

    return of


@pytest.fixture
def checkpoint(tmp_path, weights):
    def save(depth=18, rename=lambda name: name):
        path = tmp_path / f"resnet{depth}.pth"
        state_dict = {rename(name): tensor for name, tensor in weights(depth).items()}
        torch.save({"state_dict": state_dict, "meta": {"epoch": 3}}, path)
        return path

    return save


@pytest.mark.parametrize("depth", [18, 50])
def test_every_tensor_of_a_classifier_is_loaded(backbone, checkpoint, weights, log, kind, depth):
    path = checkpoint(depth)
    network = backbone(path, depth=depth)
    network.init_weights()
    assert_same(network, under("backbone.", weights(depth)))
    number = TENSORS[depth]
    where = f"{kind.removeprefix('gcp_mm.')} from {path} (prefix 'backbone.')"
    assert f"{where}: loaded {number} of {number} tensors" in log(logging.INFO)[-1]


@pytest.mark.parametrize("bare", [True, False])
def test_safetensors(backbone, weights, log, tmp_path, bare):
    pytest.importorskip("safetensors")
    path = tmp_path / "resnet18.safetensors"
    write_checkpoint(weights(18) if bare else {"state_dict": weights(18), "meta": {}}, path)
    network = backbone(path)
    network.init_weights()
    assert_same(network, under("backbone.", weights(18)))
    assert (
        f"from {path} (prefix 'backbone.'): loaded {TENSORS[18]} of {TENSORS[18]}"
        in log(logging.INFO)[-1]
    )


@pytest.mark.parametrize("type_", ["Pretrained", "mmengine.Pretrained", PretrainedInit])
def test_pretrained_in_a_list_of_initialisers_is_loaded(kind, checkpoint, weights, type_):
    initialisers = [
        dict(type=type_, checkpoint=str(checkpoint(18)), prefix="backbone."),
        dict(type="Constant", layer="Conv2d", val=7.0),
    ]
    network = BACKBONES[kind].build(dict(type=kind, depth=18, init_cfg=initialisers, **NARROW))
    network.init_weights()
    assert_same(network, under("backbone.", weights(18)))


def test_a_second_start_loads_the_same(backbone, checkpoint, weights, randomise):
    network = backbone(checkpoint())
    network.init_weights()
    randomise(network)
    network.init_weights()
    assert_same(network, under("backbone.", weights(18)))


def test_names_of_data_parallel_training(backbone, checkpoint, weights):
    network = backbone(checkpoint(rename="module.{}".format))
    network.init_weights()
    assert_same(network, under("backbone.", weights(18)))


@pytest.mark.parametrize("wrapped", [False, True])
def test_bare_layout_of_torchvision(backbone, torchvision_resnet, randomise, tmp_path, wrapped):
    """No prefix, and the classifier's fc beside the backbone."""
    state_dict = randomise(torchvision_resnet(18)).state_dict()
    assert "fc.weight" in state_dict
    path = tmp_path / "torchvision.pth"
    torch.save({"state_dict": state_dict} if wrapped else state_dict, path)
    network = backbone(path, prefix=None, width={})
    network.init_weights()
    assert_same(network, {n: t for n, t in state_dict.items() if not n.startswith("fc.")})


@pytest.mark.parametrize("prefix", ["trunk.", None])
def test_wrong_prefix_names_those_of_the_file(backbone, checkpoint, prefix):
    network = backbone(checkpoint(), prefix=prefix)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(CheckpointMismatchError) as caught:
        network.init_weights()
    message = str(caught.value)
    for part in (f"prefix {prefix!r}", "loaded 0 of 100 tensors", "init_cfg.prefix"):
        assert part in message
    assert "begin with: backbone, head, neck" in message
    assert_same(network, before)


@pytest.mark.parametrize(
    ("in_file", "here", "named"),
    [
        (34, 18, ["loaded 100 of 100 tensors", "only in the file: layer1.2.conv1.weight"]),
        (18, 34, ["loaded 100 of 180 tensors", "not in the file: layer1.2.conv1.weight"]),
        (
            50,
            18,
            ["other shape (network, file): layer1.0.conv1.weight ((8, 8, 3, 3), (8, 8, 1, 1))"],
        ),
    ],
)
def test_other_depth_is_refused_and_changes_nothing(backbone, checkpoint, in_file, here, named):
    network = backbone(checkpoint(in_file), depth=here)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(CheckpointMismatchError) as caught:
        network.init_weights()
    for part in (*named, "another architecture", "init_cfg.strict=False"):
        assert part in str(caught.value)
    assert_same(network, before)


@pytest.mark.parametrize(("in_file", "here"), [(34, 18), (18, 34), (50, 18)])
def test_what_fits_is_loaded_without_strict(backbone, checkpoint, weights, log, in_file, here):
    network = backbone(checkpoint(in_file), depth=here, strict=False)
    expected = without_counters(network.state_dict())
    fitting = {
        name: tensor
        for name, tensor in without_counters(under("backbone.", weights(in_file))).items()
        if name in expected and tensor.shape == expected[name].shape
    }
    network.init_weights()
    assert_same(network, expected | fitting)
    assert re.search(
        rf"loaded {len(fitting)} of {len(expected)} tensors; \w+", log(logging.INFO)[-1]
    )


def test_missing_file_says_what_to_do(backbone, tmp_path):
    path = tmp_path / "resnet18_gcp_lrnorm.pth"
    network = backbone(path)
    with pytest.raises(CheckpointNotFoundError) as caught:
        network.init_weights()
    assert isinstance(caught.value, UserError) and isinstance(caught.value, FileNotFoundError)
    for part in (
        str(path),
        "model.backbone.init_cfg.checkpoint",
        "tools/train.py gcp_mm::imagenet/resnet18_gcp_lrnorm.py",
        "--cfg-options model.backbone.init_cfg.checkpoint=PATH",
        "--cfg-options model.backbone.init_cfg=None",
    ):
        assert part in str(caught.value)


def test_classifier_starts_its_backbone_from_a_file(classifier, checkpoint, weights):
    """Neck and head start as they would without the file."""
    init_cfg = dict(type="Pretrained", checkpoint=str(checkpoint()), prefix="backbone.")
    network = classifier(depth=18, width=16, init_cfg=init_cfg, **NARROW)
    network.init_weights()
    assert_same(network.backbone, under("backbone.", weights(18)))
    assert (network.neck.reduce.bn.weight == 1).all()
    assert not torch.equal(network.neck.reduce.conv.weight, weights(18)["neck.reduce.conv.weight"])


def test_frozen_stages_keep_the_loaded_weights(checkpoint, weights):
    init_cfg = dict(type="Pretrained", checkpoint=str(checkpoint()), prefix="backbone.")
    options = dict(depth=18, frozen_stages=1, norm_eval=True, init_cfg=init_cfg)
    network = DETECTION.build(dict(type="gcp_mm.GCPMResNet", **options, **NARROW))
    network.init_weights()
    assert_same(network.train(), under("backbone.", weights(18)))
    assert not network.conv1.weight.requires_grad and network.layer4[0].conv1.weight.requires_grad


def test_no_file_leaves_the_random_start_of_the_base_class(kind):
    network = BACKBONES[kind].build(dict(type=kind, depth=18))
    before = network.layer4[0].conv1.weight.clone()
    network.init_weights()
    assert not torch.equal(network.layer4[0].conv1.weight, before)
    assert network.layer4[0].conv1.weight.std().item() == pytest.approx(
        (2 / (512 * 9)) ** 0.5, rel=0.02
    )
