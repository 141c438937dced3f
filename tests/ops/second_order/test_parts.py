"""Parts are found by name, and what is wrong with a description is said."""

import pytest
from torch import nn

from gcp_mm.ops.second_order import MatrixPower, Triangle
from gcp_mm.ops.second_order.parts import (
    Normalization,
    Representation,
    Vectorization,
    VectorNormalization,
    build_part,
    build_parts,
    names_of,
)

NAMES = {
    Representation: ["covariance", "gaussian", "second_moment"],
    Normalization: [
        *("matrix_log", "matrix_power", "newton_schulz", "none", "pade"),
        *("scaled", "signed_power", "svpn", "taylor"),
    ],
    Vectorization: ["count_sketch", "full", "triangle"],
    VectorNormalization: ["l2", "signed_power"],
}


@pytest.mark.parametrize("kind", NAMES)
def test_names(kind):
    assert names_of(kind) == NAMES[kind]
    for name in NAMES[kind]:
        assert isinstance(build_part(kind, name, size=4), kind)


def test_name_dict_and_module_mean_the_same():
    for spec in ("matrix_power", dict(type="matrix_power", alpha=0.5), MatrixPower(0.5)):
        part = build_part(Normalization, spec)
        assert isinstance(part, MatrixPower)
        assert part.alpha == 0.5
        assert repr(part) == "MatrixPower(alpha=0.5)"


def test_several_keep_their_order():
    parts = build_parts(Normalization, ["matrix_power", dict(type="scaled", factor=2.0)])
    assert repr(nn.Sequential(*parts)).split() == [
        *("Sequential(", "(0):", "MatrixPower(alpha=0.5)"),
        *("(1):", "Scaled(factor=2.0,", "shift=0.0)", ")"),
    ]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("matrix_root", "unknown normalization 'matrix_root'; choose one of 'matrix_log', "),
        (dict(alpha=0.5), "unknown normalization None"),
        (
            dict(type="matrix_power", beta=1),
            "'matrix_power' has no argument 'beta'; it takes alpha",
        ),
        (dict(type="none", beta=1), "'none' has no argument 'beta'; it takes no arguments"),
        ("svpn", "'svpn': .*missing 1 required positional argument: 'size'"),
        (dict(type=["none"]), r"unknown normalization \['none'\]"),
        (Triangle(), "Triangle is no normalization"),
    ],
)
def test_what_is_wrong_is_said(spec, words):
    with pytest.raises(ValueError, match=words):
        build_part(Normalization, spec)


def test_no_normalization_is_named():
    with pytest.raises(ValueError, match="'none' leaves the matrix as it is"):
        build_parts(Normalization, [])
    assert build_parts(VectorNormalization, []) == build_parts(VectorNormalization, None) == []
