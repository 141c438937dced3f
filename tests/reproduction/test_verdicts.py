import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.reproduction.measures import find_measures
from gcp_mm.reproduction.plan import Plan, read_plan
from gcp_mm.reproduction.statistics import ABSENT, OPPOSITE, SHOWS, UNDECIDED
from gcp_mm.reproduction.verdicts import (
    SENTENCES,
    check_primary,
    judge,
    measured_at,
    sentence,
)
from reproduction.finished import corruptions, entry, train
from reproduction.plans import full, tiny, write_plan

# Of three seeds: a difference of 10 that a seed hardly changes, and one that it drowns.
CLEAR, NOISY = (9.0, 10.0, 11.0), (-20.0, 1.0, 25.0)


@pytest.fixture
def make_plan(tmp_path):
    def make(content, **primary):
        content["seeds"] = [0, 1, 2]
        content["verdict"]["primary"] = primary
        plan = read_plan(write_plan(tmp_path / "p.yml", content))
        check_primary(plan)
        return plan

    return make


def trained(differences, arm="gcp", base=50.0):
    """GAP at 50 %, another arm at that and a difference, in each seed."""
    done = [train("gap", [1.0, base + seed], seed=seed) for seed in range(len(differences))]
    for seed, difference in enumerate(differences):
        done.append(train(arm, [1.0, base + seed + difference], seed=seed))
    return done


def of_group(name, done):
    """The same of another group."""
    return [{**row, "about": {**row["about"], "group": name}} for row in done]


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        (CLEAR, SHOWS),
        (tuple(-number for number in CLEAR), OPPOSITE),
        (NOISY, UNDECIDED),
        (CLEAR[:2], UNDECIDED),
    ],
)
def test_verdict_of_one_measure(make_plan, differences, verdict):
    plan = make_plan(tiny(), convergence=["top1/lrfast"])
    (found,) = judge(plan, trained(differences))
    assert (found.group, found.claim) == ("tiny", "convergence")
    assert found.verdicts == {("gcp", "gap"): verdict}
    assert sentence(found, plan.groups["tiny"]) == f"{verdict} against GAP"


def test_fewer_epochs_are_what_is_claimed(make_plan):
    plan = make_plan(tiny(), convergence=["epochs_to_reference/lrfast"])
    slow = [train("gap", [1, 2, 3, 4, 5, 50 + seed], seed=seed) for seed in range(3)]
    fast = [train("gcp", [1, 60, 3, 4, 5, 6], seed=seed) for seed in range(3)]
    assert judge(plan, slow + fast)[0].verdicts == {("gcp", "gap"): SHOWS}
    # GCP never reaches it: seven, one more than the epochs. GAP was there between 1 and 2.
    never = [train("gcp", [1, 2, 3, 4, 5, 6], seed=seed) for seed in range(3)]
    early = [train("gap", [1, 61 + 10 * seed, 3, 4, 5, 51], seed=seed) for seed in range(3)]
    (found,) = judge(plan, early + never)
    assert found.verdicts == {("gcp", "gap"): OPPOSITE}
    (pair,) = [pair for pair in found.pairs if pair.primary]
    assert pair.comparison.mean == pytest.approx(6 - (5 / 6 + 5 / 7 + 5 / 8) / 3)
    # Seven and six in every seed: counts, of which nobody knows how sure they are.
    same = [train("gap", [1, 2, 3, 4, 5, 50], seed=seed) for seed in range(3)]
    (found,) = judge(plan, same + never)
    assert found.verdicts == {("gcp", "gap"): UNDECIDED}
    (pair,) = [pair for pair in found.pairs if pair.primary]
    assert (pair.comparison.mean, pair.comparison.deviation) == (1, 0)


def test_measures_that_disagree_are_undecided(make_plan):
    names = ["top1/lrfast", "epochs_to_reference/lrfast"]
    plan = make_plan(tiny(), convergence=names)
    done = [train("gap", [1, 2, 40.0 + seed, 40.0 + seed], seed=seed) for seed in range(3)]
    # In the end better, and no earlier: the same epoch in every seed.
    done += [train("gcp", [1, 2, 40.0 + seed, 50.0 + 2 * seed], seed=seed) for seed in range(3)]
    (found,) = judge(plan, done)
    by_name = {pair.found.name: pair.comparison.verdict for pair in found.pairs if pair.primary}
    assert by_name == {"top1/lrfast": SHOWS, "epochs_to_reference/lrfast": UNDECIDED}
    assert found.verdicts == {("gcp", "gap"): UNDECIDED}


def test_primary_measure_that_is_not_there_yet_leaves_it_undecided(make_plan):
    part = []
    names = ["corruption_error/lrfast", "flip_probability/lrfast"]
    plan = make_plan(full(), robustness=names)
    for arm, error in (("gap", 50.0), ("gcp", 40.0)):
        step = 1 if arm == "gap" else 2
        part += [corruptions(arm, 20.0, error + step * seed, seed) for seed in range(3)]
    (found,) = judge(plan, part)
    assert {pair.comparison.verdict for pair in found.pairs if pair.primary} == {SHOWS}
    assert found.verdicts == {("gcp", "gap"): UNDECIDED}


def test_only_primary_measures_decide(make_plan):
    done = trained(CLEAR)
    plan = make_plan(full(), landscape=["beta/lrfast"])
    (found,) = judge(plan, done)
    assert found.verdicts == {} and not any(pair.primary for pair in found.pairs)
    assert sentence(found, plan.groups["tiny"]) == "no primary measure yet"


def test_a_claim_is_measured_at_schedules_of_its_own():
    content = full()
    group = content["groups"]["tiny"]
    group["schedules"]["lrnorm"] = group["schedules"]["lrfast"]
    group["robustness"]["schedule"] = "lrnorm"
    assert measured_at(group, "convergence") == ["lrfast", "lrnorm"]
    assert measured_at(group, "landscape") == measured_at(group, "detection") == ["lrfast"]
    assert measured_at(group, "robustness") == ["lrnorm"]
    for claim in ("landscape", "robustness", "detection"):
        assert measured_at(tiny()["groups"]["tiny"], claim) == []


def test_measure_at_a_schedule_at_which_nobody_measures_it_is_refused(make_plan):
    content = full()
    group = content["groups"]["tiny"]
    group["schedules"]["lrnorm"] = group["schedules"]["lrfast"]
    make_plan(content, convergence=["top1/lrnorm"], landscape=["loss_band/lrfast"])
    with pytest.raises(UserError, match="'loss_band/lrnorm' is no measure .* trace and lrfast$"):
        make_plan(content, landscape=["loss_band/lrnorm"])
    with pytest.raises(UserError, match="'box_AP/lrfast' is no measure .* and none$"):
        make_plan(tiny(), detection=["box_AP/lrfast"])
    # It is enough that one group does: of another one the measure is not expected.
    content["groups"]["other"] = tiny()["groups"]["tiny"]
    content["groups"]["other"]["schedules"] = {"lradju": group["schedules"]["lrfast"]}
    plan = make_plan(content, convergence=["top1/lrfast", "top1/lradju"])
    (found,) = judge(plan, trained(CLEAR))
    assert found.verdicts == {("gcp", "gap"): SHOWS}


def test_a_group_without_what_a_measure_takes_is_judged_by_the_others(make_plan):
    content = full()
    content["groups"]["other"] = full()["groups"]["tiny"]
    counts = {"images": 1, "top": 1, "trace_samples": 2, "lanczos_steps": 2}
    content["groups"]["tiny"]["landscape"]["curvature"] = counts
    plan = make_plan(content, landscape=["sharpness/lrfast", "trace/lrfast"])
    done = [
        entry("sharpness", arm, seed, direction=0, numbers={"rise": value + step * seed})
        for arm, value, step in (("gap", 10.0, 1), ("gcp", 1.0, 2))
        for seed in range(3)
    ]
    tiny_, other = judge(plan, done + of_group("other", done))
    # The one that measures the trace waits for it.
    assert (tiny_.verdicts, other.verdicts) == (
        {("gcp", "gap"): UNDECIDED},
        {("gcp", "gap"): SHOWS},
    )


def test_every_control_has_its_verdict(make_plan):
    content = tiny()
    group = content["groups"]["tiny"]
    group["arms"]["wide"] = {**group["arms"]["gap"], "title": "GAP, wide"}
    group["controls"] = ["gap", "wide"]
    plan = make_plan(content, convergence=["top1/lrfast"])
    done = trained(CLEAR) + trained(NOISY, arm="wide")[3:]
    (found,) = judge(plan, done)
    assert found.verdicts == {("gcp", "gap"): SHOWS, ("gcp", "wide"): UNDECIDED}
    words = sentence(found, plan.groups["tiny"])
    assert words == "shows against GAP; undecided against GAP, wide"
    # An arm of which nothing is done is not compared.
    (found,) = judge(plan, trained(CLEAR))
    assert found.verdicts == {("gcp", "gap"): SHOWS}


def test_every_detector_has_its_verdict(make_plan):
    content = full()
    part = content["groups"]["tiny"]["detection"]
    part["arms"]["gcpd"] = {"title": "GCPD", "classifier": "gcp"}
    part["treatments"] = ["gcpd", "gcpm"]
    plan = make_plan(content, detection=["box_AP/lrfast"])
    rows = {"gap": (10, 11, 12), "gcpd": (20, 21.5, 22), "gcpm": (5, 6, 7.5)}
    done = [
        entry("detector", "gap", seed, detector=name, numbers={"box_AP": value})
        for name, numbers in rows.items()
        for seed, value in enumerate(numbers)
    ]
    (found,) = judge(plan, done)
    assert found.verdicts == {("gcpd", "gap"): SHOWS, ("gcpm", "gap"): OPPOSITE}
    words = sentence(found, plan.groups["tiny"])
    assert words == "shows for GCPD against GAP; opposite for GCPM against GAP"


def test_nothing_in_common_is_not_measured(make_plan):
    plan = make_plan(tiny(), convergence=["top1/lrfast"])
    done = [train("gap", [1.0], seed=0), train("gcp", [1.0], seed=1)]
    (found,) = judge(plan, done)
    assert found.verdicts == {("gcp", "gap"): ABSENT}
    assert judge(plan, []) == []


def test_groups_are_judged_apart(make_plan):
    content = tiny()
    content["groups"]["other"] = tiny()["groups"]["tiny"]
    plan = make_plan(content, convergence=["top1/lrfast"])
    done = trained(CLEAR)
    others = of_group("other", trained(tuple(-number for number in CLEAR)))
    found = {verdict.group: verdict.verdicts for verdict in judge(plan, done + others)}
    assert found == {"tiny": {("gcp", "gap"): SHOWS}, "other": {("gcp", "gap"): OPPOSITE}}


def test_confidence_and_seeds_of_the_rule_are_used(make_plan):
    differences = np.array([1.0, 2.0, 6.0])
    verdicts = {}
    for confidence in (0.5, 0.99):
        content = tiny()
        content["verdict"]["confidence"] = confidence
        plan = make_plan(content, convergence=["top1/lrfast"])
        (found,) = judge(plan, trained(differences))
        verdicts[confidence] = found.verdicts["gcp", "gap"]
    assert verdicts == {0.5: SHOWS, 0.99: UNDECIDED}
    content["verdict"] |= {"confidence": 0.5, "min_seeds": 4}
    plan = make_plan(content, convergence=["top1/lrfast"])
    assert judge(plan, trained(differences))[0].verdicts["gcp", "gap"] == UNDECIDED


def test_other_jobs_do_not_disturb(make_plan):
    """The data are of no group, and trees have no numbers."""
    plan = make_plan(tiny(), convergence=["top1/lrfast"])
    rows = [{"kind": "data", "about": {}, "numbers": {}, "seconds": 1.0, "name": "data"}]
    rows += [{"kind": "corrupt", "about": {"group": "tiny"}, "numbers": {}, "name": "c"}]
    done = trained(CLEAR)
    assert judge(plan, rows + done) == judge(plan, done)
    assert isinstance(plan, Plan) and find_measures(plan.groups["tiny"], rows) == []


def test_each_claim_has_a_sentence():
    assert all(text.startswith("GCP ") for text in SENTENCES.values())
