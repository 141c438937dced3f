import json
import re

import pytest

from gcp_mm.robustness.names import BENCHMARK_CORRUPTIONS, EXTRA_CORRUPTIONS, PERTURBATIONS
from gcp_mm.robustness.report.models import find_robustness, read_models
from gcp_mm.robustness.report.tables import markdown, overview
from gcp_mm.robustness.report.values import long_table
from robustness.report.conftest import clips, images


def report(files, published=(), render=markdown, **options):
    models = read_models(files)
    return render(models, long_table(models, published), **options)


def cells(text, name):
    """Return the numbers of a line of a table."""
    (line,) = re.findall(rf"^\| {re.escape(name)} +\|(.*)\|$", text, flags=re.MULTILINE)
    return [cell.strip() for cell in line.split("|")]


def test_resnet50_has_its_published_numbers(shared, result):
    table = json.loads((shared / "data/imagenet_c_tables/resnet50_v1.json").read_text())
    errors = {name: 1 - top1 / 100 for name, top1 in table["top1"].items()}
    file = result("imagenet-c", "mine", images(errors, clean=1 - table["clean_top1"] / 100))
    published = find_robustness(["torchvision_resnet50", "resnet50_gcp_lrnorm"])
    text = report([file], published)
    # Clean error, mean error, mCE, relative mCE, mFP, mT5D.
    found = cells(text, "mine")
    assert found[:3] + found[4:] == ["23.9", "60.8", "76.7", "-", "-"]
    # The clean error is known to 0.01 only.
    assert float(found[3]) == pytest.approx(105.0, abs=0.15)
    beside = "torchvision_resnet50 (published)"
    assert cells(text, beside) == ["-", "-", "76.7", "105.0", "58.0", "78.3"]
    assert "resnet50_gcp_lrnorm (published)" in text
    for name, ce in table["published_ce"].items():
        mine, theirs = cells(text.partition("## Top-1 error")[0], name)
        assert float(mine) == pytest.approx(ce, abs=0.06)
        assert float(theirs) == pytest.approx(ce, abs=0.6)
    mine, theirs = cells(text.partition("## Top-1 error")[0], "mean")
    assert mine == "76.7" and float(theirs) == pytest.approx(76.7, abs=0.5)
    assert "comparable" not in text and "no mCE" not in text


def test_flip_rates_are_relative_to_alexnet(result):
    file = result("imagenet-p", "mine", clips(0.1, 2.5))
    text = report([file])
    flip_rate, flip_probability = text.partition("## Flip rate")[2].split("## ")[:2]
    assert cells(flip_rate, "tilt") == [f"{10 / 0.0705:.1f}"]
    assert cells(flip_probability, "tilt") == cells(flip_probability, "mean") == ["10.00"]
    assert cells(text.partition("## Top-5")[2], "scale") == ["2.500"]
    mean = sum(
        10 / fp
        for fp in (
            *(0.23653, 0.30062, 0.09297, 0.05942, 0.11928),
            *(0.04889, 0.11007, 0.13104, 0.0705, 0.23531),
        )
    )
    assert cells(text, "mine") == ["-", "-", "-", "-", f"{mean / 10:.1f}", "-"]
    assert "mine, no mT5D: baseline 'alexnet' has no top5_distance" in text


def test_a_partial_run_has_no_mean(constant, result):
    files = [
        constant("a", names=BENCHMARK_CORRUPTIONS[:3]),
        result("imagenet-p", "a", clips(0.1, 2.0, PERTURBATIONS[:2])),
    ]
    text = report(files)
    assert cells(text, "a") == ["-"] * 6
    assert "a, no mCE: not complete: defocus_blur" in text
    assert "a, no mFP: not measured: motion_blur" in text
    assert "| impulse_noise" in text and "| defocus_blur" not in text and "\n| mean " not in text


def test_single_cells_of_a_partial_run_are_shown(constant, result):
    part = images({"fog": 0.25, "snow": 0.5})
    for cell in ("fog/1", "fog/2", "fog/4"):
        del part[cell]
    text = report([result("imagenet-c", "a", part), constant("b", 0.4)])
    single = text.partition("## Top-1 error in %, single cells")[2].partition("##")[0]
    assert cells(single, "fog/3") == cells(single, "fog/5") == ["25.00", "40.00"]
    assert cells(single, "fog/1") == ["-", "40.00"]
    assert "snow" not in single
    assert "single cells" not in report([constant("b", 0.4)])


def test_resized_images_are_told(constant, result):
    resized = ["decode (FFmpeg)", "resize to 64 x 64 (pillow, bilinear)", "normalise on the device"]
    kept = ["decode (pillow)", "keep 224 x 224, resize others (pillow, bilinear)"]
    files = [
        constant("a", transform=kept),
        result("imagenet-p", "a", clips(0.1, 2.0), transform=resized, input_size=64),
    ]
    notes = [line for line in report(files, render=overview).splitlines() if "as they are" in line]
    assert notes == [
        "- a, imagenet-p: images were not used as they are: resize to 64 x 64 (pillow, bilinear)"
    ]


@pytest.mark.parametrize(
    ("changed", "reason", "mce"),
    [
        ({"regenerated": True, "manifest_sha256": "1"}, "regenerated data", False),
        ({"num_samples": 100}, "--num-samples 100", True),
        ({"num_classes": 10}, "10 classes, not 1000", False),
    ],
)
def test_what_is_not_comparable_is_marked(constant, changed, reason, mce):
    text = report([constant("a", **changed), constant("b", 0.4, **changed)], render=overview)
    assert (cells(text, "a \\*")[2] != "-") == mce
    for name in "ab":
        assert f"- \\* {name}: not comparable with published numbers ({reason})" in text


def test_extra_corruptions_are_apart(constant):
    text = report([constant("a")])
    apart = text[text.index("## CE in %, corruptions outside") :]
    for name in EXTRA_CORRUPTIONS:
        assert text.count(f"| {name} ") == apart.count(f"| {name} ") == 2
    for name in BENCHMARK_CORRUPTIONS:
        assert f"| {name} " not in apart.partition("## Flip")[0]


def test_without_results_on_a_data_set_there_is_no_table(result):
    text = report([result("imagenet-p", "a", clips(0.1, 2.0))])
    assert "## CE" not in text and "## Top-1" not in text


def test_further_notes_are_listed(constant):
    text = report([constant("a")], render=overview, notes=["one", "two"])
    assert text.endswith("\n- one\n- two")
