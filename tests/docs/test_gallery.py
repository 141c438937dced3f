"""The examples were executed: what they print and draw is on their pages, and can be downloaded."""

import ast
import json
import re
from html.parser import HTMLParser

import pytest
from shared_folder import REPO

from docs.pages import PAGES, inline

GALLERY = REPO / "docs/gallery"
# The others are imported by them.
EXAMPLES = sorted(path for path in GALLERY.glob("*.py") if path.name != "small_networks.py")


class Page(HTMLParser):
    """The texts of the figures, and where the links lead."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "img" and "/sphx_glr_" in attributes["src"]:
            self.texts.append(attributes["alt"])
        if tag == "a":
            self.links.append(attributes.get("href", ""))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_page_has_outputs_figures_and_downloads(site, script):
    path = site / f"examples/{script.stem}.html"
    text = path.read_text()
    page = Page(text)
    code = script.read_text()
    assert text.count('class="sphx-glr-script-out') >= 2
    assert len(page.texts) == code.count("plt.show()") > 0
    assert min(map(len, page.texts)) >= 40 and len(set(page.texts)) == len(page.texts)
    assert "running time" not in text and "seconds)" not in text
    files = {link.rpartition("/")[2]: path.parent / link for link in page.links}
    assert files[script.name].read_text() == code
    cells = json.loads(files[f"{script.stem}.ipynb"].read_text())["cells"]
    in_notebook = "\n".join("".join(c["source"]) for c in cells[1:] if c["cell_type"] == "code")
    statements = [ast.dump(node) for node in ast.parse(code).body[1:]]
    assert [ast.dump(node) for node in ast.parse(in_notebook).body] == statements


def test_what_examples_import_is_offered(site):
    found = Page((site / "examples/index.html").read_text()).links
    (link,) = (link for link in found if link.endswith("small_networks.py"))
    assert (site / "examples" / link).read_bytes() == (GALLERY / "small_networks.py").read_bytes()


def test_every_example_is_linked_from_a_page(site):
    linked = {(page.stem, token.attrGet("href")) for page in PAGES for token in inline(page)}
    for script in EXAMPLES:
        pages = [page for page, target in linked if target == f"gallery/{script.name}"]
        assert pages, script.name
        for page in pages:
            assert re.search(
                f'href="examples/{script.stem}.html"', (site / f"{page}.html").read_text()
            )


def test_figure_without_a_text_is_refused(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("sphinx_gallery")
    monkeypatch.syspath_prepend(str(REPO / "docs/_ext"))
    from gallery import figures

    pyplot.switch_backend("agg")
    pyplot.close("all")
    try:
        pyplot.figure()
        with pytest.raises(ValueError, match="set_label"):
            figures((), {}, {})
    finally:
        pyplot.close("all")
