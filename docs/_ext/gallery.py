"""The examples of docs/gallery, executed by sphinx-gallery: figures with a text, and links to them.

The pages link the scripts, which GitHub shows; here the links lead to what they print and draw.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx_gallery.scrapers import matplotlib_scraper

from gcp_mm.files import sha256

HERE = Path(__file__).resolve().parents[1]
# sphinx-gallery makes its pages here: git ignores the folder, and `make clean` removes it.
PAGES = "examples"
ORDER = (
    "what_the_layer_looks_at.py",
    "the_layer_in_any_network.py",
    "robustness_of_your_images.py",
    "landscape_and_curvature.py",
)
SCRIPT = re.compile(r"\]\(gallery/(\w+)\.py\)")


def figures(block: tuple, variables: dict, conf: dict) -> str:
    """Save the figures of a block; the label of a figure says what is seen on it."""
    import matplotlib.pyplot as plt

    drawn = [plt.figure(number) for number in plt.get_fignums()]
    for figure in drawn:
        if len(text := figure.get_label()) < 40:
            raise ValueError(f"a figure says {text!r}: figure.set_label('what is seen on it')")
        if engine := figure.get_layout_engine():
            # Once: saving would arrange it twice for each of the two sizes, and draw it for that.
            engine.execute(figure)
            figure.set_layout_engine(None)
    found = iter([figure.get_label() for figure in drawn])
    written = matplotlib_scraper(block, variables, conf)
    # Its own texts are the titles.
    return re.sub(":alt:.*", lambda _: f":alt: {next(found)}", written)


def order(name: str) -> int:
    """Say where an example stands among the others."""
    return ORDER.index(name)


def forget_outputs_of_other_code(app: Sphinx) -> None:
    """Let every example run again if the package or what the examples share has changed."""
    shared = [HERE / "gallery/small_networks.py", HERE / "_ext/gallery.py"]
    sources = sorted((HERE.parent / "gcp_mm").rglob("*.py")) + shared
    state = "\n".join(sha256(path) for path in sources if ".mim" not in path.parts)
    known = HERE / PAGES / "state.txt"
    if not known.is_file() or known.read_text() != state:
        for path in (HERE / PAGES).glob("*.py.md5"):
            path.unlink()
        known.parent.mkdir(exist_ok=True)
        known.write_text(state)


def lead_to_pages(app: Sphinx, docname: str, content: list[str]) -> None:
    """Turn links to scripts into links to their pages."""
    content[0] = SCRIPT.sub(rf"]({PAGES}/\1.rst)", content[0])


def setup(app: Sphinx) -> dict:
    """Come before sphinx-gallery, which executes when the builder is there."""
    app.connect("builder-inited", forget_outputs_of_other_code, priority=400)
    app.connect("source-read", lead_to_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
