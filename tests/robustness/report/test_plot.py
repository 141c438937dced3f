import pytest

from gcp_mm.robustness.report.plot import draw_bars, draw_severities

TABLE = {"one": {"fog": 1.0, "snow": 2.0, "tilt": 9.0}, "two": {"snow": 4.0}, "three": {"tilt": 1}}


def test_a_bar_stands_for_each_number():
    figure = draw_bars(TABLE, ["snow", "fog", "rain"], "CE (%)")
    (axes,) = figure.axes
    bars = [(round(bar.get_x() + bar.get_width() / 2, 3), bar.get_height()) for bar in axes.patches]
    # Groups: snow at 0, fog at 1; two models, 0.4 wide each; nothing of "three" and of "tilt".
    assert bars == [(-0.2, 2.0), (0.8, 1.0), (0.2, 4.0)]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["snow", "fog"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two"]
    assert axes.get_ylabel() == "CE (%)"


def test_a_panel_stands_for_each_corruption():
    curves = {
        "one": {"snow": {1: 10.0, 5: 30.0}, "gaussian_blur": {1: 5.0}},
        "two": {"snow": {1: 20.0, 2: 25.0, 5: 40.0}},
    }
    snow, blur = draw_severities(curves).axes
    assert snow.get_title() == "snow" and blur.get_title() == "gaussian blur"
    lines = {line.get_label(): line.get_xydata().tolist() for line in snow.lines}
    assert lines == {"one": [[1, 10], [5, 30]], "two": [[1, 20], [2, 25], [5, 40]]}
    assert [len(line.get_xydata()) for line in blur.lines] == [1, 0]


@pytest.mark.parametrize("number", [1, 5, 6, 19])
def test_no_panel_stays_empty(number):
    figure = draw_severities({"one": {f"c{i}": {1: 1.0} for i in range(number)}})
    assert len(figure.axes) == number
