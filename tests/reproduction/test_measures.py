import math
import re

import numpy as np
import pytest

from gcp_mm.reproduction.measures import (
    LOSS_PARTS,
    MEASURES,
    at_equal_loss,
    common_probes,
    find_measures,
)
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
    # Between: 15 of the 16 from 25 to 41, and 30 of the 40 from 20 to 60.
    expected = {"gap": {0: 4, 1: 2.75}, "gcp": {0: 1.9375, 1: 5}}
    assert found["epochs_to_reference/lrfast"] == expected
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
    gap = probes([3, 2, 1], [1.0, 10.0, 1000.0], [0.1, 0.1, 0.1], [100, 1e3, 1e4])
    gcp = probes([2, 2, 1], [1.0, 1.0, 10.0], [10.0, 1.0, 1.0], [10, 10, 10])
    found = values([train("gap", [1.0], probes=gap), train("gcp", [1.0], probes=gcp)])
    expected = {"loss_band": (4 / 3, 1 / 3), "gradient_band": (-1.0, 1 / 3), "beta": (3.0, 1.0)}
    for name, (of_gap, of_gcp) in expected.items():
        (gap, gcp) = (found[f"{name}/lrfast"][arm][0] for arm in ("gap", "gcp"))
        assert (gap, gcp) == pytest.approx((of_gap, of_gcp))


def test_probes_of_a_group_without_a_landscape_are_none_of_the_plan():
    columns = probes([3, 2, 1], [1.0, 10.0, 100.0])
    done = [train(arm, [1.0], probes=columns) for arm in ("gap", "gcp")]
    found = values(done, tiny()["groups"]["tiny"])
    assert found and not [name for name in found if "band" in name or "beta" in name]


def test_bands_are_of_seeds_that_all_arms_have():
    columns = probes([3, 2, 1], [1.0, 10.0, 100.0])
    done = [train("gap", [1.0], probes=columns), train("gcp", [1.0], seed=1, probes=columns)]
    assert not [name for name in values(done) if "band" in name or "beta" in name]
    done.append(train("gcp", [1.0], probes=columns))
    found = values(done)
    for name in ("loss_band", "gradient_band", "beta"):
        assert found[f"{name}/lrfast"] == {"gap": {0: 1.0}, "gcp": {0: 1.0}}


def test_a_step_that_one_arm_lost_counts_for_none_of_them():
    """The roughest place of one arm, where its loss left all numbers."""
    loss, smooth = np.linspace(3, 1, 20).tolist(), [1.0] * 20
    rough = [10.0] * 19 + [1e9]
    for lost in (None, math.inf, 0.0, -1.0):
        gap = probes(loss, [*smooth[:19], lost], smooth, smooth)
        by_arm = {"gap": gap, "gcp": probes(loss, rough, smooth, smooth)}
        common = common_probes(by_arm)
        for arm in by_arm:
            assert common[arm]["step"] == list(range(19))
            assert {name: column[:19] for name, column in by_arm[arm].items()} == common[arm]
        found = values([train(arm, [1.0], probes=columns) for arm, columns in by_arm.items()])
        assert found["loss_band/lrfast"]["gap"][0] == pytest.approx(0.0)
        # Without that step in which it is 10^9 wide.
        assert found["loss_band/lrfast"]["gcp"][0] == pytest.approx(1.0)


def test_steps_that_one_arm_has_alone_are_not_common():
    long, short = probes(np.ones(40), np.ones(40)), probes(np.ones(39), np.ones(39))
    common = common_probes({"gap": long, "gcp": short})
    assert common["gap"]["step"] == common["gcp"]["step"] == list(range(39))


def test_a_seed_that_lost_more_than_a_twentieth_has_no_bands():
    whole = probes(np.linspace(3, 1, 20), np.ones(20))
    for widths in ([None, None, *np.ones(18)], [math.nan] * 20):
        cut = probes(np.linspace(3, 1, 20), widths)
        assert common_probes({"gap": whole, "gcp": cut}) is None
        done = [train("gap", [1.0], probes=whole), train("gcp", [1.0], probes=cut)]
        found = values(done)
        names = [name for name in found if "band" in name or "beta" in name]
        assert len(names) == 5
        assert all(found[name] == {"gap": {0: None}, "gcp": {0: None}} for name in names)
    # Of few steps each is more than that.
    few = {"gap": probes([3, 2], [1, 1]), "gcp": probes([3, 2], [1, None])}
    assert common_probes(few) is None
    assert common_probes({"gap": probes([], [])}) is None


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
        train("gap", [1.0], probes=probes([9, 5, 1], [1, 1, 1])),
        train("gcp", [1.0], probes=probes([9, 5, 1], [10, 10, 10])),
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
        *(train(arm, [1.0, 2.0], probes=probes([2, 1], [1, 1])) for arm in ("gap", "gcp")),
    ]
    claims = [found.measure.claim for found in find_measures(GROUP, done)]
    assert claims == sorted(claims, key=CLAIMS.index)
    assert set(claims) == set(CLAIMS)


def test_plans_of_this_project_name_measures_that_are(repo):
    named = re.findall(
        r"(\w+)/(?:lr\w+|finetune)", (repo / "configs/reproduction/imagenette.yml").read_text()
    )
    assert set(named) - {"schedules"} <= set(MEASURES)
