import csv
import io

import pytest

from gcp_mm.robustness.report.models import read_models
from gcp_mm.robustness.report.published import find_robustness
from gcp_mm.robustness.report.values import COLUMNS, csv_text

from .conftest import TOTAL, clips


def lines(*arguments):
    read = list(csv.DictReader(io.StringIO(csv_text(*arguments))))
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
