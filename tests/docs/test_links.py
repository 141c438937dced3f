"""Links, anchors and pictures of the pages as GitHub shows them."""

import re

import pytest
from shared_folder import REPO

from docs.pages import PAGES, anchors, inline, name_of

SCHEME = re.compile(r"^[a-z]+:")


def links(page):
    for token in inline(page):
        target = token.attrGet("href") or token.attrGet("src")
        if target and not SCHEME.match(target):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists() and file.is_relative_to(REPO), target
        if anchor:
            assert anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pictures_say_what_they_show(page):
    for token in inline(page):
        if token.type == "image":
            assert len(token.content) > 20, token.attrGet("src")


def test_links_are_found():
    assert sum(len(list(links(page))) for page in PAGES) > 30
    assert "look-at-predictions" in anchors(REPO / "docs/images.md")
