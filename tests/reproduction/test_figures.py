"""Figures of the claims show the numbers; of what is absent they show nothing."""

import warnings
from xml.etree import ElementTree

import pytest

from gcp_mm.reproduction import figures as room
from gcp_mm.reproduction.figures import claim_figures
from gcp_mm.reproduction.plan import read_plan
from gcp_mm.reproduction.verdicts import ClaimVerdict, judge
from reproduction.finished import corruptions, entry, probes, train
from reproduction.plans import full, write_plan


@pytest.fixture
def captions():
    """Return the captions of the figures that were drawn, by their names."""
    return {}


@pytest.fixture
def figures(tmp_path, captions):
    """Return a function that draws the figures of a claim, by their names."""

    def draw(claim, done, group=None):
        content = full()
        content["groups"]["tiny"].update(group or {})
        content["verdict"]["min_seeds"] = 2
        plan = read_plan(write_plan(tmp_path / "p.yml", content))
        (verdict,) = [found for found in judge(plan, done) if found.claim == claim]
        drawn = claim_figures(verdict, plan.groups["tiny"], done)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Of pyparsing, which matplotlib uses.
            warnings.simplefilter("ignore", DeprecationWarning)
            assert claim_figures(verdict, plan.groups["tiny"], done) == drawn
        for svg, alt, caption, name_of in drawn:
            ElementTree.fromstring(svg)
            assert alt and caption.endswith(".")
            captions[name_of] = caption
        return {name: words_of(svg) for svg, _, _, name in drawn}

    return draw


def words_of(svg):
    """Return the texts of a drawing."""
    root = ElementTree.fromstring(svg)
    return ["".join(node.itertext()).strip() for node in root.iter() if node.tag.endswith("}text")]


def both(make):
    return [make(arm, seed) for arm in ("gap", "gcp") for seed in (0, 1)]


def test_arms_are_named_where_the_last_schedule_is_not_done(figures):
    schedules = {name: ["_base_/schedules/resnet_lrfast.py"] for name in ("lrfast", "lrnorm")}
    done = both(lambda arm, seed: train(arm, [10.0, 20.0 + seed], seed))
    (words, *_) = figures("convergence", done, {"schedules": schedules}).values()
    assert {"GAP", "GCP"} <= set(words), words


def test_curves_of_every_schedule_and_arm(figures, monkeypatch):
    lines, drawn = room._lines, []

    def spy(axes, title, colour, curves):
        drawn.append((title, [list(values) for _, values in curves]))
        lines(axes, title, colour, curves)

    monkeypatch.setattr(room, "_lines", spy)
    schedules = {name: ["_base_/schedules/resnet_lrfast.py"] for name in ("lrfast", "lrnorm")}
    better = {"gap": 1.0, "gcp": 2.0}
    done = both(lambda arm, seed: train(arm, [10.0, 20.0 + better[arm] * seed], seed))
    done += both(lambda arm, seed: train(arm, [1, 2, better[arm] * seed], seed, schedule="lrnorm"))
    found = figures("convergence", done, {"schedules": schedules})
    assert set(found) == {"tiny_convergence", "tiny_convergence_differences"}
    assert {"lrfast", "lrnorm", "epoch", "GAP", "GCP"} <= set(found["tiny_convergence"])
    rows = found["tiny_convergence_differences"]
    assert "top1/lrnorm: GCP - GAP" in rows and "top1/lrfast: GCP - GAP *" in rows
    # Of each panel the arms, with all seeds.
    assert drawn[:4] == [
        *(("GAP", [[10.0, 20.0], [10.0, 21.0]]), ("GCP", [[10.0, 20.0], [10.0, 22.0]])),
        *(("GAP", [[1, 2, 0], [1, 2, 1]]), ("GCP", [[1, 2, 0], [1, 2, 2]])),
    ]


def test_runs_of_different_lengths_are_drawn_as_far_as_all_go(figures):
    done = [train("gap", [1.0, 2.0, 3.0], 0), train("gap", [1.0], 1), train("gcp", [5.0], 0)]
    assert "tiny_convergence" in figures("convergence", done)


@pytest.mark.slow
def test_bands_with_gaps(figures):
    columns = probes([3.0, None, 1.0, 0.5], [1.0, 2.0, None, 0.1])
    done = both(lambda arm, seed: train(arm, [10.0], seed, probes=columns))
    found = figures("landscape", done)
    assert {"iteration", "training loss", "GAP", "GCP"} <= set(found["tiny_landscape"])
    # An arm without a finite band is drawn as nothing.
    none = probes([3.0, 1.0], [None, None])
    done = both(lambda arm, seed: train(arm, [10.0], seed, probes=none if seed else columns))
    done[0]["numbers"]["probes"] = none
    assert "tiny_landscape" in figures("landscape", done)


def test_claim_without_a_curve_has_its_differences_alone(figures):
    def sharp(arm, seed):
        return entry("sharpness", arm, seed, direction=0, numbers={"rise": 1.0 + seed})

    assert set(figures("landscape", both(sharp))) == {"tiny_landscape_differences"}


@pytest.mark.slow
def test_errors_of_epochs_and_of_corruptions(figures):
    done = both(lambda arm, seed: corruptions(arm, 10.0, 20.0 + seed, seed))
    done += both(lambda arm, seed: corruptions(arm, 30.0, 40.0 + seed, seed, epoch=1))
    words = figures("robustness", done)["tiny_robustness"]
    assert "contrast" in words and "clean error in %" in words
    # Of the first epochs alone there are no bars.
    done = both(lambda arm, seed: corruptions(arm, 30.0, 40.0, seed, epoch=1))
    assert "tiny_robustness" in figures("robustness", done)


def test_detectors(figures):
    def detector(name, seed):
        numbers = {"box_AP": 10.0 + seed}
        arm = {"gap": "gap", "gcp": "gcpm"}[name]
        return entry("detector", name, seed, detector=arm, numbers=numbers)

    words = figures("detection", both(detector))["tiny_detection"]
    assert {"GAP", "GCPM", "box AP in %", "mask AP in %"} <= set(words)


def test_one_seed_has_no_intervals(figures):
    done = [train("gap", [1.0, 2.0]), train("gcp", [3.0, 4.0])]
    words = figures("convergence", done)["tiny_convergence_differences"]
    assert not [word for word in words if "GCP - GAP" in word]


@pytest.mark.parametrize("step", [10.0, 0.1])  # 0.1: equal but for rounding
def test_equal_differences_have_no_interval_that_could_be_drawn(figures, captions, step):
    done = [train("gap", [1.0, 1.0 + seed], seed) for seed in range(3)]
    done += [train("gcp", [2.0 + seed * step, 1.0 + seed + step], seed) for seed in range(3)]
    words = figures("convergence", done)["tiny_convergence_differences"]
    assert "early_top1/lrfast: GCP - GAP" in words
    assert not [word for word in words if word.startswith("top1/lrfast")]
    assert "all seeds have the same difference: " in captions["tiny_convergence_differences"]


def test_claim_without_pairs_has_no_differences():
    group = full()["groups"]["tiny"]
    verdict = ClaimVerdict("tiny", "robustness", [], {})
    assert claim_figures(verdict, group, []) == []


@pytest.mark.parametrize("title", ["$\\frac{1", "_hidden", "a & b < c", "$x_1$", "\N{SNOWMAN}"])
def test_titles_are_shown_as_they_are(figures, title):
    done = both(lambda arm, seed: train(arm, [10.0, 20.0 + seed], seed))
    arms = full()["groups"]["tiny"]["arms"]
    arms["gcp"]["title"] = title
    assert title in figures("convergence", done, {"arms": arms})["tiny_convergence"]
