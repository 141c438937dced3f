"""Draws ```mermaid flow charts as lists, where a browser would have to load a program for them.

GitHub draws the same text as a chart.
"""

import re
from html import escape

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

CHART = re.compile(r"subgraph \w+\[(?P<title>[^\]]*)\](?P<body>.*?)\bend\b", re.DOTALL)
STATION = re.compile(r"\[([^\]]+)\]")


class Flow(Directive):
    """A chart of chains: each subgraph becomes its title and an ordered list of its stations."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the lists as HTML."""
        charts = list(CHART.finditer("\n".join(self.content)))
        if not charts:
            raise self.error("a mermaid chart without subgraphs cannot be drawn")
        lines = []
        for chart in charts:
            stations = STATION.findall(chart["body"])
            items = "".join(f"<li><code>{escape(station)}</code></li>" for station in stations)
            lines.append(f'<p>{escape(chart["title"])}</p>\n<ol class="flow">{items}</ol>')
        return [nodes.raw("", "\n".join(lines), format="html")]


def setup(app: Sphinx) -> dict:
    """Add the directive."""
    app.add_directive("mermaid", Flow)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
