"""A page of results, written as one HTML file and as Markdown; jinja2 comes with torch."""

from gcp_mm.pages.inline import literal, name_in_markdown
from gcp_mm.pages.page import Page

__all__ = ["Page", "literal", "name_in_markdown"]
