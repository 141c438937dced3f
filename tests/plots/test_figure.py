import matplotlib
import pytest
from matplotlib.layout_engine import ConstrainedLayoutEngine

from gcp_mm.errors import UserError
from gcp_mm.plots.figure import new_figure, save_figure


def line():
    figure = new_figure(width=2, height=1)
    figure.subplots().plot([0, 1], [0, 1], label="first")
    figure.axes[0].legend()
    return figure


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_same_figure_gives_the_same_bytes(tmp_path, suffix):
    files = [save_figure(line(), tmp_path / f"new/folder/{name}{suffix}") for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].stat().st_size > 1000
    assert sorted(files[0].parent.iterdir()) == files


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_figure_is_what_matplotlib_saves(tmp_path, form):
    plain = tmp_path / f"plain.{form}"
    date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
    with matplotlib.rc_context({"svg.hashsalt": "gcp_mm", "svg.fonttype": "none"}):
        line().savefig(plain, dpi=150, metadata=date)
    figure = line()
    ours = save_figure(figure, tmp_path / f"ours.{form}")
    assert ours.read_bytes() == plain.read_bytes()
    # It can be arranged anew, as for another format.
    assert isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine)


def test_figure_is_drawn_by_a_matplotlib_that_keeps_the_layout_engine(monkeypatch, tmp_path):
    figure = line()
    monkeypatch.setattr(figure, "set_layout_engine", lambda *_, **__: None)
    text = save_figure(figure, tmp_path / "figure.svg").read_text()
    assert text.count("<svg ") == 1 and ">first</text>" in text


def test_unknown_format_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no figure format '\.doc'.*png"):
        save_figure(line(), tmp_path / "figure.doc")
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/figure\.png.*cannot be written"):
        save_figure(line(), tmp_path / "file" / "figure.png")
