"""Names of cells and their folders."""

import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.data.cells import (
    choose_corruptions,
    choose_perturbations,
    corruption_cells,
    perturbation_cells,
)
from gcp_mm.robustness.names import ALL_CORRUPTIONS, BENCHMARK_CORRUPTIONS, PERTURBATIONS


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


@pytest.mark.parametrize("around", ["", "weather"])
def test_flat_and_grouped_layout(tmp_path, around):
    for severity in (1, 4):
        (tmp_path / around / "fog" / str(severity)).mkdir(parents=True)
    folders = corruption_cells(tmp_path, ["fog"], [4, 1])
    expected = tmp_path / around / "fog"
    assert folders == {"fog/1": expected / "1", "fog/4": expected / "4"}


def test_difficulty_changes_the_folder_of_noise(tmp_path):
    for name in ("shot_noise", "shot_noise_3", "tilt"):
        (tmp_path / name).mkdir()
    assert list(perturbation_cells(tmp_path, ["shot_noise", "tilt"], 3)) == ["shot_noise_3", "tilt"]
    with pytest.raises(UserError, match="shot_noise_2 is missing"):
        perturbation_cells(tmp_path, ["shot_noise", "tilt"], 2)


def test_ambiguous_folder_is_named(tmp_path):
    for group in ("weather", "copy"):
        (tmp_path / group / "fog/1").mkdir(parents=True)
    with pytest.raises(UserError, match="fog is there several times"):
        corruption_cells(tmp_path, ["fog"], [1])
