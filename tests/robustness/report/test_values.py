import pytest

from gcp_mm.robustness.report.models import read_models
from gcp_mm.robustness.report.published import find_robustness
from gcp_mm.robustness.report.values import (
    corruption_errors,
    mean_errors,
    means,
    perturbation_values,
    severity_errors,
)

from .conftest import clips, images


def test_errors_by_severity_are_in_canonical_order(result):
    cells = images({"snow": 0.5, "gaussian_noise": 0.25, "saturate": 1.0})
    del cells["snow/2"]
    cells["snow/5"]["correct"] = 0
    (model,) = read_models([result("imagenet-c", "a", cells, num_classes=10)])
    found = severity_errors(model.results["imagenet-c"])
    assert list(found) == ["gaussian_noise", "snow", "saturate"]
    assert found["snow"] == {1: 50, 3: 50, 4: 50, 5: 100}
    # A mean over four severities would be another number.
    assert mean_errors([model]) == {"a": {"gaussian_noise": 25, "saturate": 100}}


def test_the_mean_is_over_severities(result):
    cells = images({"fog": 0.2})
    cells["fog/5"]["correct"] = 0
    models = read_models([result("imagenet-c", "a", cells)])
    assert mean_errors(models)["a"]["fog"] == pytest.approx((4 * 20 + 100) / 5)


def test_published_rows_stand_beside(constant):
    models = read_models([constant("a", 0.4)])
    published = find_robustness(["all"])
    errors = corruption_errors(models, published)
    assert list(errors) == [
        "a",
        "torchvision_resnet18 (published)",
        "torchvision_resnet50 (published)",
    ]
    assert errors["a"]["fog"] == pytest.approx(40 / 0.819324, abs=1e-4)
    rows = means(models, published)
    assert len(rows) == 13 and list(rows)[0] == "a"
    assert rows["a"]["mean error"] == pytest.approx(40) and rows["a"]["clean error"] is None
    assert rows["resnet101_gcp_lrnorm (published)"]["mT5D"] == 68.3


def test_flip_probabilities_are_in_percent_and_distances_are_not(result):
    models = read_models([result("imagenet-p", "a", clips(0.125, 2.0))])
    assert perturbation_values(models, "flip_probability")["a"]["tilt"] == 12.5
    assert perturbation_values(models, "top5_distance")["a"]["tilt"] == 2.0
    assert perturbation_values(models, "top5_ratio") == {}
