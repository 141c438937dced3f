"""What the theme's pages lack for people who do not see them, as axe-core finds."""

import re

from sphinx.application import Sphinx

CORNER = re.compile(r"<th class=\"head[^\"]*\"><p></p></th>")


def complete(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """Give captions of the navigation a level, and empty corners of tables no heading."""
    for part in ("body", "furo_navigation_tree"):
        if part in context:
            text = context[part].replace('role="heading"', 'role="heading" aria-level="2"')
            context[part] = CORNER.sub("<td></td>", text)


def setup(app: Sphinx) -> dict:
    """Come after the theme, which makes the navigation at the same event."""
    app.connect("html-page-context", complete, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
