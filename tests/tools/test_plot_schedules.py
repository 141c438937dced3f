import re

import pytest
from tiny_runs import only_error


@pytest.mark.slow
def test_draws_the_nine_settings(call_tool, tmp_path):
    code, output, errors = call_tool("tools/plot_schedules.py", tmp_path / "nine.svg")
    assert code == 0, errors
    lines = [line.split() for line in output.splitlines()]
    starts = {line[0]: float(line[3]) for line in lines if line[-1] != str(tmp_path / "nine.svg")}
    assert len(starts) == 9
    # Epochs counted from 0 where the published formula counts from 1.
    assert starts["resnet_lrfast"] == 0.12331 and starts["shufflenetv2_lradju"] == 0.5
    text = (tmp_path / "nine.svg").read_text()
    assert text.count("lrnorm, ") == 3 and "lradju, 150 epochs" in text


@pytest.mark.slow
def test_committed_figure_is_up_to_date(call_tool, repo, tmp_path):
    assert call_tool("tools/plot_schedules.py", tmp_path / "nine.svg")[0] == 0
    committed = (repo / "docs/figures/learning_rates.svg").read_text()
    # Only the words: where they stand differs between versions of matplotlib.
    labels = re.findall(r">(\w+, \d+ epochs)<", committed)
    assert len(labels) == 9
    assert re.findall(r">(\w+, \d+ epochs)<", (tmp_path / "nine.svg").read_text()) == labels


def test_configs_of_one_name_are_refused(call_tool, tmp_path):
    config = "configs/_base_/schedules/resnet_lrnorm.py"
    result = call_tool("tools/plot_schedules.py", tmp_path / "x.svg", "--configs", config, config)
    assert "two of the configs are called 'resnet_lrnorm'" in only_error(*result)


def test_missing_config_is_named(call_tool, tmp_path):
    result = call_tool("tools/plot_schedules.py", tmp_path / "x.svg", "--configs", "no/such.py")
    assert "'no/such.py' does not exist" in only_error(*result)
