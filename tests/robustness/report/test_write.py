import re

import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.report import read_models, values, write_report
from gcp_mm.robustness.report.models import find_robustness
from robustness.report.conftest import clips

# A panel for each corruption takes its time.
FEW = ("fog", "snow", "saturate")


@pytest.mark.slow
def test_every_file_is_written(constant, result, tmp_path):
    models = read_models(
        [
            constant("a", names=FEW),
            constant("b", 0.3, FEW),
            result("imagenet-p", "a", clips(0.1, 2.0)),
        ]
    )
    out = tmp_path / "out" / "report"
    written = write_report(models, out, find_robustness(["resnet50_gcp_lrnorm"]), ["svg"])
    stems = ("means", "corruption_error", "severities", "flip_rate", "top5_distance")
    figures = {f"{stem}.svg" for stem in stems}
    assert {path.name for path in out.iterdir()} == {
        *("report.html", "report.md", "report.csv"),
        *figures,
    }
    assert sorted(written) == sorted(out.iterdir())
    text = (out / "means.svg").read_text()
    assert ">resnet50_gcp_lrnorm (published)<" in text and ">a<" in text
    assert ">CE (%)<" in (out / "corruption_error.svg").read_text()


@pytest.mark.slow
def test_without_a_baseline_errors_and_flip_probabilities_are_drawn(constant, result, tmp_path):
    other = {"regenerated": True, "num_classes": 10}
    models = read_models(
        [constant("a", names=FEW, **other), result("imagenet-p", "a", clips(0.1, 2.0), **other)]
    )
    write_report(models, tmp_path / "out", formats=["svg"])
    assert ">top-1 error (%)<" in (tmp_path / "out" / "corruption_error.svg").read_text()
    assert ">flip probability (%)<" in (tmp_path / "out" / "flip_rate.svg").read_text()
    assert not (tmp_path / "out" / "means.svg").exists()
    text = (tmp_path / "out" / "report.md").read_text()
    assert not re.search(r"mCE +\| +\d", text) and "regenerated data" in text


def test_what_is_not_comparable_is_marked_in_the_figure(result, tmp_path):
    models = read_models([result("imagenet-p", "a", clips(0.1, 2.0), num_samples=10)])
    write_report(models, tmp_path / "out", formats=["svg"])
    assert ">a *<" in (tmp_path / "out" / "means.svg").read_text()


def test_results_are_gone_through_once(result, tmp_path, monkeypatch):
    """The files of a report are made of one table, the figures too."""
    models, asked = read_models([result("imagenet-p", "a", clips(0.1, 2.0))]), []
    real = values._lines
    monkeypatch.setattr(values, "_lines", lambda content: asked.append(content) or real(content))
    write_report(models, tmp_path / "out", formats=["svg"])
    assert asked == [models[0].results["imagenet-p"]]


def test_nothing_is_written_if_results_do_not_go_together(constant, tmp_path):
    models = read_models([constant("a"), constant("b", num_samples=10)])
    with pytest.raises(UserError, match="num_samples"):
        write_report(models, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_named(constant, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match=r"out/report\.md' cannot be written"):
        write_report(read_models([constant("a")]), tmp_path / "out")
