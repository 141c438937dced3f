"""Names of corruptions and perturbations, and what is imported for them."""

import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.names import (
    ALL_CORRUPTIONS,
    BENCHMARK_CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    IS_NOISE,
    PERTURBATIONS,
    SEVERITIES,
    choose_corruptions,
    choose_perturbations,
    folder_name,
)


def test_corruptions_and_their_order(published):
    table = published("alexnet")
    assert list(BENCHMARK_CORRUPTIONS) == table["benchmark_corruptions"]
    assert list(EXTRA_CORRUPTIONS) == table["extra_corruptions"]
    assert list(SEVERITIES) == table["severities"]
    assert len(set(ALL_CORRUPTIONS)) == 19


def test_perturbations_and_their_mode(published):
    mode = {name: "noise" if IS_NOISE[name] else "temporal" for name in PERTURBATIONS}
    assert list(mode.items()) == list(published("alexnet_flip")["mode"].items())


def test_stronger_noise_is_in_another_folder():
    names = [folder_name(name, 2) for name in PERTURBATIONS]
    changed = {"gaussian_noise_2", "shot_noise_2"}
    assert {name for name in names if name not in PERTURBATIONS} == changed
    assert [folder_name(name) for name in PERTURBATIONS] == list(PERTURBATIONS)


def test_formulas_need_no_framework(run_tool):
    code = (
        "import sys, gcp_mm.robustness.measures as e; e.corruption_error({'fog': 0.5});"
        "print([m for m in ('torch', 'mmengine', 'mmpretrain', 'cv2') if m in sys.modules])"
    )
    process = run_tool("-c", code)
    assert process.stdout.strip() == "[]", process.stderr


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("benchmark", BENCHMARK_CORRUPTIONS),
        (["all"], ALL_CORRUPTIONS),
        (["weather"], ("snow", "frost", "fog", "brightness")),
        (["fog", "noise", "fog"], ("gaussian_noise", "shot_noise", "impulse_noise", "fog")),
        (["extra", "benchmark"], ALL_CORRUPTIONS),
    ],
)
def test_groups_are_expanded_in_order(names, expected):
    assert choose_corruptions(names) == expected


def test_perturbations_are_expanded_in_order():
    assert choose_perturbations("benchmark") == choose_perturbations(["all"]) == PERTURBATIONS
    assert choose_perturbations(["tilt", "snow"]) == ("snow", "tilt")


@pytest.mark.parametrize("others", [[], ["all"], ["benchmark"]])
def test_unknown_name_is_refused_beside_any_set(others):
    with pytest.raises(UserError, match="unknown perturbation 'tilts'; one of benchmark, all, gau"):
        choose_perturbations([*others, "tilts"])
    with pytest.raises(UserError, match="unknown corruption 'fogs'; one of benchmark, all, noise"):
        choose_corruptions([*others, "fogs"])
