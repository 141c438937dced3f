import csv
import io
import json

import pytest

from gcp_mm.robustness.report.models import find_robustness, read_models
from gcp_mm.robustness.report.values import (
    csv_text,
    error_curves,
    long_table,
    mean_errors,
    means,
    of_clips,
    pivot,
)
from robustness.report.conftest import TOTAL, clips, images


def test_errors_by_severity_are_in_canonical_order(result):
    cells = images({"snow": 0.5, "gaussian_noise": 0.25, "saturate": 1.0})
    del cells["snow/2"]
    cells["snow/5"]["correct"] = 0
    numbers = long_table(read_models([result("imagenet-c", "a", cells, num_classes=10)]))
    found = error_curves(numbers)["a"]
    assert list(found) == ["gaussian_noise", "snow", "saturate"]
    assert found["snow"] == {1: 50, 3: 50, 4: 50, 5: 100}
    # A mean over four severities would be another number.
    assert mean_errors(error_curves(numbers)) == {"a": {"gaussian_noise": 25, "saturate": 100}}


def test_the_mean_is_over_severities(result):
    cells = images({"fog": 0.2})
    cells["fog/5"]["correct"] = 0
    numbers = long_table(read_models([result("imagenet-c", "a", cells)]))
    assert mean_errors(error_curves(numbers))["a"]["fog"] == pytest.approx((4 * 20 + 100) / 5)


def test_published_rows_stand_beside(constant):
    models = read_models([constant("a", 0.4)])
    numbers = long_table(models, find_robustness(["all"]))
    errors = pivot(numbers, "CE")
    assert list(errors) == [
        "a",
        "torchvision_resnet18 (published)",
        "torchvision_resnet50 (published)",
    ]
    assert errors["a"]["fog"] == pytest.approx(40 / 0.819324, abs=1e-4)
    rows = means(numbers)
    assert len(rows) == 13 and list(rows)[0] == "a"
    assert rows["a"]["mean error"] == pytest.approx(40) and rows["a"]["clean error"] is None
    assert rows["resnet101_gcp_lrnorm (published)"]["mT5D"] == 68.3


def test_flip_probabilities_are_in_percent_and_distances_are_not(result):
    numbers = long_table(read_models([result("imagenet-p", "a", clips(0.125, 2.0))]))
    assert of_clips(numbers, "flip_probability", 100)["a"]["tilt"] == 12.5
    assert of_clips(numbers, "top5_distance")["a"]["tilt"] == 2.0
    assert pivot(numbers, "top5_ratio") == {}


def test_clips_are_those_of_the_difficulty_that_was_asked_for(result):
    cells = clips(0.125, 2.0, ["tilt"])
    cells["tilt"]["difficulty"]["2"] = {**cells["tilt"]["difficulty"]["1"], "top5_distance": 3.0}
    cells["shot_noise_2"] = {**cells["tilt"], "difficulty": {"2": cells["tilt"]["difficulty"]["2"]}}
    for difficulty, expected in ((1, {"tilt": 2.0}), (2, {"tilt": 3.0, "shot_noise": 3.0})):
        models = read_models([result("imagenet-p", "a", cells, difficulty=difficulty)])
        assert of_clips(long_table(models), "top5_distance") == {"a": expected}
        assert models[0].metrics("imagenet-p")["top5_distance"] == expected


@pytest.mark.parametrize("reverse", [False, True])
def test_difficulty_is_that_of_the_clips_beside_images_of_the_same_network(
    result, constant, reverse
):
    cells = clips(0.125, 2.0, ["tilt"])
    cells["tilt"]["difficulty"]["2"] = {**cells["tilt"]["difficulty"]["1"], "top5_distance": 3.0}
    files = [result("imagenet-p", "a", cells, difficulty=2), constant("a")]
    numbers = long_table(read_models(files[::-1] if reverse else files))
    assert of_clips(numbers, "top5_distance") == {"a": {"tilt": 3.0}}


def test_whole_numbers_are_means_too(constant):
    path = constant("a", 0.5)
    content = json.loads(path.read_text())
    content["metrics"] |= {"mean_error": 1, "clean_error": 0, "mCE": 100}
    path.write_text(json.dumps(content))
    numbers = long_table(read_models([path]))
    row = means(numbers)["a"]
    assert (row["mean error"], row["clean error"], row["mCE"]) == (100, 0, 100)


def test_difficulty_is_no_measure(result):
    numbers = long_table(read_models([result("imagenet-p", "a", clips(0.1, 2.5))]))
    assert "difficulty" not in {number.measure for number in numbers}


COLUMNS = ("model", "dataset", "cell", "difficulty", "measure", "value")


def lines(*arguments):
    read = list(csv.DictReader(io.StringIO(csv_text(long_table(*arguments)))))
    assert tuple(read[0]) == COLUMNS
    found = {tuple(line[key] for key in COLUMNS[:-1]): line["value"] for line in read}
    assert len(found) == len(read)
    return found


def test_every_number_has_a_line(constant, result):
    models = read_models([constant("a", 0.25), result("imagenet-p", "a", clips(0.1, 2.5))])
    found = lines(models)
    assert found["a", "imagenet-c", "fog/3", "", "correct"] == str(TOTAL * 3 // 4)
    assert found["a", "imagenet-c", "fog/3", "", "total"] == str(TOTAL)
    assert found["a", "imagenet-c", "fog/3", "", "error"] == "0.25"
    # A of fog is 0.819324 on average.
    ce = float(found["a", "imagenet-c", "fog", "", "CE"])
    assert ce == pytest.approx(25 / 0.819324, abs=1e-6)
    assert found["a", "imagenet-p", "tilt", "1", "flips"] == "300"
    assert found["a", "imagenet-p", "tilt", "1", "pairs"] == "3000"
    assert found["a", "imagenet-p", "tilt", "1", "flip_probability"] == "0.1"
    assert found["a", "imagenet-p", "tilt", "1", "top5_distance"] == "2.5"
    rate = float(found["a", "imagenet-p", "tilt", "1", "flip_rate"])
    assert rate == pytest.approx(10 / 0.0705)
    assert found["a", "imagenet-c", "", "", "settings.checkpoint_sha256"] == "f0"
    assert found["a", "imagenet-c", "", "", "settings.num_classes"] == "1000"
    assert found["a", "imagenet-p", "", "", "versions.torch"] == "2.13.0"
    for mean, dataset, difficulty in (("mCE", "c", ""), ("mean_error", "c", ""), ("mFR", "p", "1")):
        expected = models[0].metrics(f"imagenet-{dataset}")[mean]
        assert float(found["a", f"imagenet-{dataset}", "", difficulty, mean]) == expected


def test_published_rows_are_there(constant):
    found = lines(read_models([constant("a")]), find_robustness(["torchvision_resnet18"]))
    name = "torchvision_resnet18 (published)"
    assert found[name, "imagenet-c", "", "", "relative mCE"] == "103.9"
    assert found[name, "imagenet-p", "", "", "mFP"] == "72.8"
    assert found[name, "imagenet-c", "snow", "", "CE"] == "86"


def test_what_is_absent_has_no_line(constant):
    found = lines(read_models([constant("a", names=["fog"], regenerated=True)]))
    assert not any(key[-1] in ("mCE", "CE", "relative_mCE") for key in found)
