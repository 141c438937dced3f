"""How sphinx makes the site of these pages: `make docs`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_ext")]

from gcp_mm.version import __version__  # noqa: E402

project = "gcp_mm"
author = "The gcp_mm developers"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "accessible",
    "flow",
    "mathml",
]
exclude_patterns = ["_*"]
# Indented text and layouts of folders are no Python.
highlight_language = "none"

# The pages are read on GitHub too: its own headings are the anchors, and its dialect the syntax.
myst_enable_extensions = ["attrs_block", "colon_fence", "dollarmath"]
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"gcp_mm {release}"
# The reports of the commands sort their tables by the same script.
html_static_path = ["_static", "../gcp_mm/pages/page.js"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
# The search would ask a server for the pages that it shows.
html_show_search_summary = False
html_copy_source = html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}


def add_scripts(app, pagename, templatename, context, doctree):
    """Load the scripts of the zoo's table where it is."""
    if pagename == "model_zoo":
        app.add_js_file("zoo.js", loading_method="defer")
        app.add_js_file("page.js", loading_method="defer")


def setup(app):
    """Connect."""
    app.connect("html-page-context", add_scripts)
