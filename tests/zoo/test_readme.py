"""The tables of the README."""

import pytest

from gcp_mm.errors import UserError
from gcp_mm.zoo.tables import update_readme

BEFORE = "Head.\n\n<!-- zoo:imagenet -->\nold\n<!-- /zoo:imagenet -->\n\nBetween.\n\n"
AFTER = "<!-- zoo:coco --><!-- /zoo:coco -->\n\nTail.\n"


@pytest.fixture
def readme(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(BEFORE + AFTER)
    return path


def test_readme_of_the_project_is_up_to_date(repo):
    assert update_readme(repo / "README.md", check=True) is False


def test_only_the_tables_are_written(readme):
    assert update_readme(readme) is True
    text = readme.read_text()
    assert "78.56 / 94.09" in text and "faster_rcnn_r50_gcpm" in text
    assert text.startswith("Head.\n\n<!-- zoo:imagenet -->\n\n") and text.endswith("\n\nTail.\n")
    assert "<!-- /zoo:imagenet -->\n\nBetween.\n\n<!-- zoo:coco -->" in text
    assert "old" not in text
    assert [path.name for path in readme.parent.iterdir()] == ["README.md"]
    assert update_readme(readme) is False
    assert update_readme(readme, check=True) is False


def test_check_names_the_stale_table_and_writes_nothing(readme):
    update_readme(readme)
    text = readme.read_text().replace("| 59.1 ", "| 59.2 ")
    readme.write_text(text)
    with pytest.raises(UserError, match=f"{readme}: the tables coco are not .*model_zoo.py readme"):
        update_readme(readme, check=True)
    assert readme.read_text() == text


@pytest.mark.parametrize(
    "text", [BEFORE, BEFORE + AFTER + AFTER, BEFORE + AFTER.replace("/zoo", "zoo")]
)
def test_sections_have_to_be_there_once(readme, text):
    readme.write_text(text)
    with pytest.raises(UserError, match="one section between <!-- zoo:coco -->"):
        update_readme(readme)
    assert readme.read_text() == text


def test_absent_file_is_named(tmp_path):
    with pytest.raises(UserError, match="gone.md' does not exist"):
        update_readme(tmp_path / "gone.md")
