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
    "sphinx_gallery.gen_gallery",
    "accessible",
    "flow",
    "gallery",
    "mathml",
]
# Of docs/gallery sphinx-gallery makes the pages in docs/examples.
exclude_patterns = ["_*", "gallery"]
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

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "filename_pattern": r"\.py$",
    "ignore_pattern": "small_networks",
    # What the examples import, for the page of all of them to offer; it has no notebook.
    "copyfile_regex": r"small_networks\.py",
    "within_subsection_order": "gallery.order",
    "image_scrapers": ("gallery.figures",),
    "image_srcset": ["2x"],
    "download_all_examples": False,
    "first_notebook_cell": "# small_networks.py belongs beside this notebook.\n%matplotlib inline",
    "abort_on_example_error": True,
    # The same pages each time: no times.
    "min_reported_time": float("inf"),
    "write_computation_times": False,
    "show_signature": False,
}

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
