"""The pages that people read: README, CONTRIBUTING, CHANGELOG and those below docs/."""

import re
from functools import cache
from pathlib import Path

import pytest
from shared_folder import REPO

PAGES = [REPO / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((REPO / "docs").rglob("*.md"))


def name_of(page: Path) -> str:
    """Return what a page is called in the names of tests."""
    return str(page.relative_to(REPO))


@cache
def tokens(page: Path) -> list:
    """Return the tokens of a page's Markdown."""
    markdown = pytest.importorskip("markdown_it", reason="markdown-it is not installed")
    return markdown.MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8"))


def inline(page: Path) -> list:
    """Return the tokens inside of the lines of a page: its links and pictures among others."""
    return [child for token in tokens(page) for child in token.children or []]


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    found: set[str] = set()
    for token, following in zip(tokens(page), tokens(page)[1:], strict=False):
        if token.type == "heading_open":
            text = "".join(child.content for child in following.children)
            found.add(re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
    return found
