import pytest

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


def test_unknown_format_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no figure format '\.doc'.*png"):
        save_figure(line(), tmp_path / "figure.doc")
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/figure\.png.*cannot be written"):
        save_figure(line(), tmp_path / "file" / "figure.png")
