import pytest

from gcp_mm.conversion import Architecture
from gcp_mm.conversion.families import FAMILIES
from gcp_mm.zoo import load_rows


def test_rows_are_the_configs(repo):
    architectures = [
        Architecture(network, 1000, width, method)
        for family in FAMILIES
        for network in family.backbones
        for width in {row.reduced_channels for row in load_rows()} | {None, 160}
        for method in ((None, "dropcov") if width else (None,))
    ]
    rows = [row for architecture in architectures for row in architecture.rows]
    assert len(rows) == len(set(rows))
    assert set(rows) == {path.stem for path in (repo / "configs/imagenet").glob("*.py")}


@pytest.mark.parametrize(
    ("architecture", "rows"),
    [
        (
            Architecture("resnet50", 1000, 128),
            ("resnet50_gcp_lrnorm_128", "resnet50_gcp_lradju_128"),
        ),
        (Architecture("resnet18", 1000, 128), ()),
        (
            Architecture("resnet34", 1000, 128, "dropcov"),
            ("resnet34_dropcov_lrnorm_128", "resnet34_dropcov_mindspore_128"),
        ),
        (Architecture("resnet34", 1000, 256, "dropcov"), ()),
        (Architecture("resnet152", 1000, 256), ()),
        (Architecture("resnet50", 10, 256), ()),
    ],
)
def test_rows_of_an_architecture(architecture, rows):
    assert architecture.rows == rows


def test_in_words():
    assert str(Architecture("resnet34", 1000, 128, "dropcov")) == (
        "resnet34 with DropCov of 128 channels, 1000 classes"
    )


def test_no_classifier_in_words():
    assert str(Architecture("mobilenet_v2", None)) == (
        "mobilenet_v2 with average pooling, no classifier"
    )


def test_length_of_the_vector():
    assert Architecture("resnet50", 1000, 256).vector_length == 32896
    assert Architecture("resnet50", 1000).vector_length == 0
