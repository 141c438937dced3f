import math
import re

import numpy as np
import pytest

from gcp_mm.reproduction.measures import LOSS_PARTS, MEASURES, at_equal_loss, find_measures
from gcp_mm.reproduction.plan import CLAIMS
from reproduction.finished import corruptions, entry, probes, train
from reproduction.plans import full, tiny

GROUP = full()["groups"]["tiny"]


def values(done, group=GROUP):
    """Return the values of the measures by name."""
    return {found.name: found.values for found in find_measures(group, done)}


def test_measures_are_of_claims_and_say_what_they_are():
    for name, measure in MEASURES.items():
        assert name == measure.name and name.isidentifier()
        assert measure.claim in CLAIMS and measure.sign in (1, -1)
        assert measure.title and measure.text.endswith(".")
    assert {measure.claim for measure in MEASURES.values()} == set(CLAIMS)
    # Larger is better of what is learnt; of errors and of roughness smaller is.
    larger = {name for name, measure in MEASURES.items() if measure.sign > 0}
    assert larger == {"top1", "early_top1", "box_AP", "mask_AP", "box_AP50", "mask_AP50"}


def test_nothing_done_has_no_measures():
    assert find_measures(GROUP, []) == []
    assert find_measures(tiny()["groups"]["tiny"], []) == []


def test_convergence():
    done = [
        train("gap", [10.0, 20.0, 30.0, 40.0], seed=0),
        train("gcp", [25.0, 41.0, 39.0, 50.0], seed=0),
        train("gap", [10.0, 20.0, 60.0, 50.0], seed=1),
        train("gcp", [20.0, 30.0, 40.0, 49.0], seed=1),
    ]
    found = values(done)
    assert found["top1/lrfast"] == {"gap": {0: 40.0, 1: 50.0}, "gcp": {0: 50.0, 1: 49.0}}
    # GAP itself may have been there earlier; 5 is one more than the epochs.
    assert found["epochs_to_reference/lrfast"] == {"gap": {0: 4, 1: 3}, "gcp": {0: 2, 1: 5}}
    assert found["early_top1/lrfast"] == {"gap": {0: 15.0, 1: 15.0}, "gcp": {0: 33.0, 1: 25.0}}
    assert len(found) == 3


def test_schedules_and_seeds_are_kept_apart():
    done = [
        train("gap", [10.0, 20.0], schedule="lrnorm"),
        train("gcp", [15.0, 30.0], schedule="lrfast"),
        train("gcp", [15.0, 16.0], schedule="lrnorm", seed=1),
    ]
    found = values(done)
    assert found["top1/lrnorm"] == {"gap": {0: 20.0}, "gcp": {1: 16.0}}
    assert found["top1/lrfast"] == {"gcp": {0: 30.0}}
    # Without the control of the same schedule and seed there is no reference.
    assert found["epochs_to_reference/lrnorm"] == {"gap": {0: 2}}
    assert "epochs_to_reference/lrfast" not in found


def test_half_of_an_odd_number_of_epochs_is_rounded_down_and_of_one_there_is_none():
    done = [train("gap", [1.0, 2.0, 30.0, 40.0, 50.0]), train("gcp", [7.0])]
    assert values(done)["early_top1/lrfast"] == {"gap": {0: 1.5}, "gcp": {0: None}}


def test_bands_are_means_of_logarithms_over_the_training():
    columns = probes([3, 2, 1], [1.0, 10.0, 1000.0], [0.1, 0.1, 0.1], [100, None, 1e4])
    found = values([train("gap", [1.0], probes=columns)])
    expected = {"loss_band": 4 / 3, "gradient_band": -1.0, "beta": 3.0}
    for name, value in expected.items():
        assert found[f"{name}/lrfast"]["gap"][0] == pytest.approx(value)
    # Of the arms one is not done.
    assert not [name for name in found if "equal_loss" in name]


def test_widths_without_a_logarithm_are_left_out():
    columns = probes([3, 2, 1, 0], [0.0, -1.0, None, 100.0], [None] * 4, [math.inf, 10, 10, 10])
    found = values([train("gap", [1.0], probes=columns)])
    assert found["loss_band/lrfast"] == {"gap": {0: 2.0}}
    assert found["gradient_band/lrfast"] == {"gap": {0: None}}
    assert found["beta/lrfast"] == {"gap": {0: 1.0}}


def test_at_equal_loss_a_power_law_is_integrated():
    """Widths 10^loss: the mean over equal parts of the common range is the middle of the range."""
    rng = np.random.default_rng(0)
    by_arm = {}
    for arm, (high, low, factor) in {"gap": (5, 1, 1), "gcp": (4, 0.5, 0.1)}.items():
        loss = rng.permutation(np.linspace(low, high, 4001))
        by_arm[arm] = probes(loss, factor * 10**loss)
    found = at_equal_loss(by_arm, "loss_width")
    assert found == pytest.approx({"gap": 2.5, "gcp": 1.5}, abs=2e-3)
    # Over the steps, GCP would have been ahead by the losses it alone reaches too.
    steps = {arm: np.log10(columns["loss_width"]).mean() for arm, columns in by_arm.items()}
    assert steps["gap"] - steps["gcp"] == pytest.approx(1.75, abs=2e-3)


def test_at_equal_loss_curves_that_are_one_are_equal_at_whatever_speed():
    """One arm goes down the same curve four times as fast."""
    slow = np.exp(-np.linspace(0, 3, 400))
    fast = np.exp(-np.linspace(0, 12, 400))
    by_arm = {"gap": probes(slow, slow**2), "gcp": probes(fast, fast**2)}
    found = at_equal_loss(by_arm, "loss_width")
    assert found["gap"] == pytest.approx(found["gcp"], abs=0.02)


def test_at_equal_loss_parts_by_hand():
    # Eight parts of the range 0 to 8; both arms have probes in the first, the third and the last.
    gap = probes([0, 0.5, 2.5, 4.5, 8], [1.0, 100.0, 10.0, 1e9, 1000.0])
    gcp = probes([8, 0, 2, 6.5], [10.0, 1.0, 1.0, 1e9])
    assert LOSS_PARTS == 8
    found = at_equal_loss({"gap": gap, "gcp": gcp}, "loss_width")
    assert found == pytest.approx({"gap": (1 + 1 + 3) / 3, "gcp": (1 + 0 + 0) / 3})


@pytest.mark.parametrize(
    ("gap", "gcp"),
    [
        (([3, 2], [1, 1]), ([1, 0], [1, 1])),  # no common loss
        (([2, 1], [1, 1]), ([1, 0], [1, 1])),  # one alone
        (([2, 1], [1, 1]), ([], [])),
        (([2, 1], [1, 1]), ([None, None], [1, 1])),
        (([2, 1], [1, 1]), ([2, 1], [None, 0])),  # no width
        (([8, 0], [1, 1]), ([8, 0], [1, None])),  # in no part together, but at one end
    ],
)
def test_at_equal_loss_without_common_parts(recwarn, gap, gcp):
    found = at_equal_loss({"gap": probes(*gap), "gcp": probes(*gcp)}, "loss_width")
    if gcp == ([8, 0], [1, None]):
        assert found == {"gap": 0.0, "gcp": 0.0}
    else:
        assert found == {"gap": None, "gcp": None}
    assert not [warning for warning in recwarn if "gcp_mm" in warning.filename]


def test_at_equal_loss_every_arm_of_the_plan_counts():
    done = [
        train("gap", [1.0], probes=probes([8, 4, 0], [1, 1, 1])),
        train("gcp", [1.0], probes=probes([8, 4, 0], [10, 10, 10])),
    ]
    found = values(done)
    for name in ("loss_band_equal_loss/lrfast", "gradient_band_equal_loss/lrfast"):
        assert found[name] == {"gap": {0: 0.0}, "gcp": {0: 1.0}}
    done[1]["about"]["seed"] = 1
    assert not [name for name in values(done) if "equal_loss" in name]


def test_sharpness_is_the_mean_of_all_directions():
    group = full()["groups"]["tiny"]
    group["landscape"]["sharpness"]["directions"] = 2

    def rises(arm, *numbers):
        rows = enumerate(numbers)
        return [entry("sharpness", arm, direction=d, numbers={"rise": r}) for d, r in rows]

    done = [*rises("gap", 1.0, 3.0), *rises("gcp", 5.0)]
    assert values(done, group)["sharpness/lrfast"] == {"gap": {0: 2.0}}
    # A loss that is not finite on one of the lines has no mean.
    done = [*rises("gap", 1.0, None), *rises("gcp", 5.0, 7.0)]
    assert values(done, group)["sharpness/lrfast"] == {"gap": {0: None}, "gcp": {0: 6.0}}


def test_curvature_is_compared_in_powers_of_ten():
    done = [
        entry("curvature", "gap", numbers={"top_eigenvalue": 1000.0, "trace": 10.0}),
        entry("curvature", "gcp", numbers={"top_eigenvalue": 0.1, "trace": -3.0}),
    ]
    found = values(done)
    assert found["top_eigenvalue/lrfast"] == {"gap": {0: 3.0}, "gcp": {0: -1.0}}
    assert found["trace/lrfast"] == {"gap": {0: 1.0}, "gcp": {0: None}}


def test_robustness_of_the_last_epoch():
    done = [corruptions("gap", 50.0, 70.0, epoch=1), corruptions("gap", 20.0, 50.0)]
    done += [corruptions("gcp", 10.0, 45.0, seed=1)]
    found = values(done)
    assert found["clean_error/lrfast"] == {"gap": {0: 20.0}, "gcp": {1: 10.0}}
    assert found["corruption_error/lrfast"] == {"gap": {0: 50.0}, "gcp": {1: 45.0}}
    assert found["relative_error/lrfast"] == {"gap": {0: 30.0}, "gcp": {1: 35.0}}
    # In no seed both arms are there.
    assert "error_at_equal_clean/lrfast" not in found


def test_error_at_equal_clean_error_is_on_the_line_between_epochs():
    done = [
        *(corruptions("gap", 40.0, 80.0, epoch=1), corruptions("gap", 20.0, 60.0)),
        *(corruptions("gcp", 30.0, 50.0, epoch=1), corruptions("gcp", 10.0, 40.0)),
    ]
    # 20 is what both reach: the last epoch of GAP, between the two of GCP.
    found = values(done)["error_at_equal_clean/lrfast"]
    assert found == {"gap": {0: 60.0}, "gcp": {0: 45.0}}


def test_error_at_equal_clean_error_needs_measurements_on_both_sides():
    done = [corruptions("gap", 20.0, 60.0), corruptions("gcp", 10.0, 40.0)]
    found = values(done)["error_at_equal_clean/lrfast"]
    assert found == {"gap": {0: 60.0}, "gcp": {0: None}}
    done = [corruptions("gap", 20.0, 60.0), corruptions("gcp", 20.0, 40.0)]
    found = values(done)["error_at_equal_clean/lrfast"]
    assert found == {"gap": {0: 60.0}, "gcp": {0: 40.0}}


def test_an_error_that_rose_again_is_interpolated_over_clean_errors():
    done = [
        *(corruptions("gap", 20.0, 60.0, epoch=1), corruptions("gap", 30.0, 70.0)),
        *(corruptions("gcp", 25.0, 50.0, epoch=1), corruptions("gcp", 15.0, 40.0)),
    ]
    found = values(done)["error_at_equal_clean/lrfast"]
    assert found == {"gap": {0: 60.0}, "gcp": {0: 45.0}}


def test_perturbations_and_detectors():
    numbers = {"flip_probability": 12.5, "top5_distance": 0.5}
    aps = {"box_AP": 30.0, "box_AP50": 50.0}
    done = [
        entry("perturbations", "gcp", 3, numbers=numbers),
        entry("detector", "gcp", 3, detector="gcpm", numbers=aps),
        entry("detector", "gap", 3, detector="gap", numbers=aps),
    ]
    found = values(done)
    assert found["flip_probability/lrfast"] == {"gcp": {3: 12.5}}
    assert found["top5_distance/lrfast"] == {"gcp": {3: 0.5}}
    # Detectors have names of their own, and no mask AP without masks.
    assert found["box_AP/lrfast"] == {"gcpm": {3: 30.0}, "gap": {3: 30.0}}
    assert found["box_AP50/lrfast"] == {"gcpm": {3: 50.0}, "gap": {3: 50.0}}
    assert not [name for name in found if name.startswith("mask")]


def test_they_come_in_the_order_of_the_claims():
    done = [
        entry("detector", "gcp", detector="gcpm", numbers={"box_AP": 1.0}),
        corruptions("gap", 1.0, 2.0),
        train("gap", [1.0, 2.0], probes=probes([1, 0], [1, 1])),
    ]
    claims = [found.measure.claim for found in find_measures(GROUP, done)]
    assert claims == sorted(claims, key=CLAIMS.index)
    assert set(claims) == set(CLAIMS)


def test_plans_of_this_project_name_measures_that_are(repo):
    named = re.findall(
        r"(\w+)/(?:lr\w+|finetune)", (repo / "configs/reproduction/imagenette.yml").read_text()
    )
    assert set(named) - {"schedules"} <= set(MEASURES)
