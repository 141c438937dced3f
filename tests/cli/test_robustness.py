import argparse

import pytest
from robustness.report.conftest import constant, result  # noqa: F401
from tiny_runs import only_error

from gcp_mm.cli import robustness as report
from gcp_mm.errors import UserError


def call(*arguments):
    parser = argparse.ArgumentParser()
    report.add_report_parser(parser.add_subparsers())
    args = parser.parse_args(["report", *map(str, arguments)])
    args.command(args)


@pytest.mark.slow
def test_a_report_is_written_and_its_first_table_printed(constant, tmp_path, capsys):  # noqa: F811
    files = constant("one", names=["fog"]), constant("one", 0.4, ["fog"])
    out = tmp_path / "out"
    call(*files, "--out", out, "--names", "a", "b", "--published", "resnet18_gcp_lrnorm")
    printed = capsys.readouterr().out
    assert printed.startswith("| model") and "| resnet18_gcp_lrnorm (published)" in printed
    assert "## CE" not in printed and str(out / "report.csv") in printed
    assert (out / "means.png").stat().st_size > 1000 and (out / "means.pdf").exists()


def test_without_a_folder_it_is_written_beside_the_first_file(constant, tmp_path):  # noqa: F811
    call(constant("one", names=["fog"]), constant("two", names=["fog"]), "--formats", "svg")
    assert "two" in (tmp_path / "report/report.md").read_text()


def test_mistakes_are_named(constant, tmp_path):  # noqa: F811
    with pytest.raises(UserError, match="no published robustness of 'resnet51'"):
        call(constant("a"), "--out", tmp_path / "out", "--published", "resnet51")
    with pytest.raises(UserError, match="no figure format '.xyz'"):
        call(constant("b", names=["fog"]), "--out", tmp_path / "out", "--formats", "xyz")


def test_config_of_a_baseline_may_be_json(call_tool, tmp_path):
    """Without weights, such a file is a result."""
    (tmp_path / "net.json").write_text("{}")
    arguments = ("baseline", tmp_path / "net.json", "w.pth", "--dataset", "imagenet-c")
    tool = "tools/test_robustness.py"
    assert "does not set model" in only_error(*call_tool(tool, *arguments, "--out", tmp_path / "b"))
