"""The built site stands alone: what its pages load or link to is there."""

from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest


class Page(HTMLParser):
    """Links, what is loaded, anchors, and pictures without a text."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.anchors, self.mute = [], [], {"", "top"}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors.add(attributes.get("id"))
        if tag == "a":
            self.links.append(attributes.get("href") or "")
        elif tag == "link" and attributes.get("rel") != "canonical":
            self.loaded.append(attributes["href"])
        elif tag in ("img", "script", "source") and "src" in attributes:
            self.loaded.append(attributes["src"])
        if tag == "img" and "alt" not in attributes:
            self.mute.append(attributes["src"])


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text()) for path in site.rglob("*.html")}


def test_links_lead_to_pages_and_anchors(pages):
    assert len(pages) > 20
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path}: {link}"
            if target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path}: {link}"


def test_pages_load_what_is_there_and_nothing_from_elsewhere(pages):
    for path, page in pages.items():
        for name in page.loaded:
            parts = urlsplit(name)
            assert not parts.netloc, f"{path} loads {name}"
            assert (path.parent / unquote(parts.path)).exists(), f"{path} loads {name}"
        assert not page.mute, f"{path}: pictures without a text: {page.mute}"
