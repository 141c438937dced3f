"""Names of corruptions and perturbations, and what is imported for them."""

from gcp_mm.robustness.names import (
    ALL_CORRUPTIONS,
    BENCHMARK_CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    IS_NOISE,
    PERTURBATIONS,
    SEVERITIES,
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
