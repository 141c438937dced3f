import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn

from conversion.conftest import SMALL
from gcp_mm.conversion import Architecture, convert, restore
from gcp_mm.conversion.convert import column_positions, known_order, reorder_classifier
from gcp_mm.conversion.verify import logits_before_and_after
from gcp_mm.errors import UserError
from gcp_mm.ops import triu_vec

RESNET = Architecture("resnet18", num_classes=7, reduced_channels=4)
DROPCOV = Architecture("resnet18", num_classes=7, reduced_channels=4, method="dropcov")
PLAIN = Architecture("shufflenet_v2_x0_5", num_classes=7)


def test_entries_and_provenance(legacy):
    conversion = convert(legacy())
    assert conversion.dropped == ("optimizer",)
    content = conversion.checkpoint(row="a row")
    assert content.keys() == {"meta", "state_dict", "legacy"}
    assert content["meta"]["conversion"] == {
        "architecture": {
            "network": "shufflenet_v2_x0_5",
            "num_classes": 7,
            "reduced_channels": 4,
        },
        "triangle_order": "row",
        "epoch": 100,
        "arch": "a name of the original",
        "best_acc1": 12.5,
        "row": "a row",
    }
    assert "optimizer" not in content["legacy"]


def test_dropcov_keeps_its_convolution_and_says_what_it_is(state_dict):
    weights = state_dict(DROPCOV)
    # The one tensor that this network has beside those of GCP.
    assert weights.keys() - state_dict(RESNET).keys() == {"eca_layer.conv.weight"}
    content = convert(weights).checkpoint()
    taps = content["state_dict"]["neck.pool.channel_dropout.conv.weight"]
    assert torch.equal(taps, weights["eca_layer.conv.weight"]) and taps.shape == (1, 1, 3)
    assert content["meta"]["conversion"]["architecture"] == {
        **{"network": "resnet18", "num_classes": 7, "reduced_channels": 4},
        "method": "dropcov",
    }


@pytest.mark.slow
def test_the_covariance_of_dropcov_has_no_root(state_dict, worst):
    """The same weights with and without the convolution are two networks."""
    weights = state_dict(DROPCOV)
    image = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    ((_, plain),) = logits_before_and_after(convert(weights), [image])
    del weights["eca_layer.conv.weight"]
    ((_, root),) = logits_before_and_after(convert(weights), [image])
    assert worst(plain, root) > 0.01


def test_dropped_optimizer_is_all_that_the_way_back_lacks(legacy, same):
    source = legacy()
    restored = restore(convert(source).checkpoint())
    del source["optimizer"]
    assert same(restored, source)


def change_spelling(content):
    weights = content["state_dict"]
    for name in [name for name in weights if "layer_reduce" in name]:
        spelling = name.replace("layer_reduce_bn", "Layer_Reduce_BN")
        weights[spelling.replace("layer_reduce", "Layer_Reduce")] = weights.pop(name)
    assert sum("Layer_Reduce" in name for name in weights) == 6
    return content


def drop_counters(content):
    weights = content["state_dict"]
    for name in [name for name in weights if name.endswith("num_batches_tracked")]:
        del weights[name]
    return content


def half(content):
    weights = content["state_dict"]
    for name, tensor in weights.items():
        weights[name] = tensor.half() if tensor.is_floating_point() else tensor
    return content


def prefixed(content, prefix):
    weights = OrderedDict(
        (prefix + name.removeprefix("module."), tensor)
        for name, tensor in content["state_dict"].items()
    )
    return {**content, "state_dict": weights}


def as_parameters(content):
    weights = content["state_dict"]
    for name, tensor in weights.items():
        some = "fc" in name or "conv1" in name
        weights[name] = nn.Parameter(tensor) if some and tensor.is_floating_point() else tensor
    return content


FORMS = {
    "as it is": lambda content: content,
    "weights alone": lambda content: content["state_dict"],
    "without module.": lambda content: {
        name.removeprefix("module."): tensor for name, tensor in content["state_dict"].items()
    },
    "compiled": lambda content: prefixed(content, "_orig_mod."),
    "wrapped twice": lambda content: prefixed(content, "module.module."),
    "wrapped and compiled": lambda content: prefixed(content, "module._orig_mod."),
    "of fast-MPN-COV": lambda content: {
        {"best_acc1": "best_prec1"}.get(name, name): value for name, value in content.items()
    },
    "plain dict": lambda content: {**content, "state_dict": dict(content["state_dict"])},
    "entries in another order": lambda content: dict(reversed(content.items())),
    "fewer entries": lambda content: {"state_dict": content["state_dict"], "epoch": 3},
    "no counters": drop_counters,
    "other spelling": change_spelling,
    "half precision": half,
    "parameters": as_parameters,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "order"), [("as it is", "row"), *((form, "column") for form in FORMS)]
)
def test_every_form_comes_back_exactly(legacy, same, form, order):
    architecture = RESNET if form == "other spelling" else SMALL
    source = FORMS[form](legacy(architecture))
    conversion = convert(source, order, keep_optimizer=True)
    assert conversion.architecture == architecture
    assert {"neck.reduce.conv.weight", "neck.reduce.bn.bias"} <= conversion.state_dict.keys()
    assert same(restore(conversion.checkpoint()), source)


def test_order_moves_columns_of_the_classifier_alone(legacy):
    row, column = (convert(legacy(), order).state_dict for order in ("row", "column"))
    assert [name for name in row if not torch.equal(row[name], column[name])] == ["head.fc.weight"]
    # d = 4: element 02 is number 2 by rows and number 3 by columns.
    assert torch.equal(column["head.fc.weight"][:, 2], row["head.fc.weight"][:, 3])


def test_wrong_order_changes_logits_and_the_right_one_restores_them(state_dict, worst):
    """A file that was trained with the other order."""
    image = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    trained, restored, wrong = (
        logits_before_and_after(convert(state_dict(), order), [image])[0]
        for order in ("column", "column", "row")
    )
    assert worst(restored[1], trained[0]) < 1e-11
    assert worst(wrong[1], trained[0]) > 1e-2


@pytest.mark.parametrize(
    ("architecture", "order", "message"),
    [(PLAIN, "column", "is for covariance pooling; the file is shufflenet"), (None, "z", "'z'")],
)
def test_order_that_does_not_fit(state_dict, architecture, order, message):
    weights = state_dict(architecture) if architecture else state_dict()
    with pytest.raises(UserError, match=message):
        convert(weights, order)


def set_item(name, value):
    def change(weights):
        weights[name] = value(weights[name]) if callable(value) else value

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (set_item("fc.weight", lambda t: t.fill_(torch.nan)), "NaN or infinity in fc.weight"),
        (set_item("conv1.1.bias", lambda t: t / 0), "NaN or infinity in conv1.1.bias"),
        (set_item("fc.bias", lambda t: t.to(torch.int8)), "fc.bias holds torch.int8"),
        (
            set_item("conv1.1.num_batches_tracked", lambda t: t.float()),
            "conv1.1.num_batches_tracked holds torch.float32",
        ),
        (
            set_item("conv1.1.num_batches_tracked", torch.zeros(3, dtype=torch.int64)),
            r"conv1.1.num_batches_tracked has shape \(3,\)",
        ),
    ],
)
def test_values_are_checked(state_dict, change, named):
    weights = state_dict()
    change(weights)
    with pytest.raises(UserError, match=named):
        convert(weights)


def test_weights_that_are_not_finite_can_be_allowed(state_dict):
    weights = state_dict()
    weights["fc.weight"][0, 0] = torch.inf
    conversion = convert(weights, allow_non_finite=True)
    assert conversion.not_finite == ("fc.weight",)


def test_name_in_two_spellings(state_dict):
    weights = state_dict(RESNET)
    weights["Layer_Reduce.weight"] = weights["layer_reduce.weight"]
    with pytest.raises(UserError, match="'layer_reduce.weight' twice, also as 'Layer_Reduce"):
        convert(weights)


RELEASED = "mpncovresnet50-15991845.pth"
KNOWN = {
    "its name and digest": (RELEASED, "15991845" + "0" * 56, "column"),
    "its digest": ("renamed.pth", "15991845" + "0" * 56, "column"),
    "its larger sibling": ("mpncovresnet101-ade9737a.pth", "ade9737a" + "0" * 56, "column"),
    "another file": ("resnet50.pth", "0" * 64, "row"),
    "trained again": ("mpncovresnet50.pth", "15991844" + "0" * 56, "row"),
}


@pytest.mark.parametrize("case", KNOWN)
def test_order_of_a_file_that_is_known(case):
    name, digest, expected = KNOWN[case]
    order, why = known_order(name, digest)
    assert order == expected
    assert (why is None) == (order == "row")
    if why:
        assert "mpncovresnet" in why and "issues/20" in why and "--order row" in why


@pytest.mark.parametrize(
    "name", [RELEASED, RELEASED + ".tar", "MPNCOVResNet101-ADE9737A.pth", "my_15991845.safetensors"]
)
def test_name_that_the_digest_contradicts_asks_for_the_order(name):
    with pytest.raises(
        UserError, match=r"another sha256 \(00000000.*--order row\|column"
    ) as caught:
        known_order(name, "0" * 64)
    assert repr(name) in str(caught.value) and "\n" not in str(caught.value)


def test_pinned_positions():
    # Row order 00 01 02 11 12 22; column order 00 01 11 02 12 22.
    assert column_positions(3).tolist() == [0, 1, 3, 2, 4, 5]


@pytest.mark.parametrize("width", [1, 2, 5, 16])
def test_product_with_the_vector_does_not_change(width, worst):
    generator = torch.Generator().manual_seed(width)
    half = torch.randn(3, width, width, generator=generator, dtype=torch.float64)
    matrices = half + half.mT
    weight = torch.randn(4, width * (width + 1) // 2, generator=generator, dtype=torch.float64)
    columns = [matrices[:, i, j] for j in range(width) for i in range(j + 1)]
    expected = torch.stack(columns, 1) @ weight.T
    reordered = reorder_classifier(weight, width)
    assert worst(triu_vec(matrices) @ reordered.T, expected) < 1e-12
    assert torch.equal(reorder_classifier(reordered, width, inverse=True), weight)


def forget(*path):
    def change(content):
        *parents, last = path
        for part in parents:
            content = content[part]
        del content[last]

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (forget("legacy"), "not written by this converter.*legacy"),
        (forget("meta"), "not written by this converter.*meta"),
        (forget("meta", "conversion", "triangle_order"), "triangle_order"),
        (
            forget("state_dict", "neck.reduce.bn.bias"),
            "the file: dimension_reduction.1.bias",
        ),
        (
            lambda content: content["meta"]["conversion"]["architecture"].update(num_classes=9),
            "says .*, 9 classes, but the weights are .*, 7 classes",
        ),
        (
            lambda content: content["state_dict"].update({"head.extra": torch.ones(1)}),
            "0 rules are about the tensor 'head.extra'",
        ),
    ],
)
def test_file_that_cannot_be_restored(state_dict, change, named):
    content = convert(state_dict()).checkpoint()
    change(content)
    with pytest.raises(UserError, match=named):
        restore(content)


@pytest.mark.slow
@pytest.mark.parametrize("odd", [None, 0, [3], {1: 2}], ids=str)
def test_entries_of_another_form(state_dict, odd):
    """Each entry in turn; what is right by chance, such as no metadata, restores."""
    places = [("meta",), ("legacy",), ("state_dict",), ("meta", "conversion"), ("legacy", "layout")]
    whole = convert(state_dict()).checkpoint()
    places += [("meta", "conversion", name) for name in whole["meta"]["conversion"]]
    places += [("legacy", "layout", name) for name in whole["legacy"]["layout"]]
    places += [
        ("meta", "conversion", "architecture", name)
        for name in whole["meta"]["conversion"]["architecture"]
    ]
    refused = 0
    for *parents, last in places:
        part = content = copy.copy(whole)
        for name in parents:
            part[name] = copy.copy(part[name])
            part = part[name]
        part[last] = odd
        try:
            restore(content)
        except UserError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
    assert refused >= 9


def test_order_of_a_network_without_covariance(state_dict):
    content = convert(state_dict(PLAIN)).checkpoint()
    content["meta"]["conversion"]["triangle_order"] = "column"
    with pytest.raises(UserError, match="order column is for covariance pooling; the file is"):
        restore(content)
