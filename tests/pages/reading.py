"""Pages read back, by readers that are not this project's."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Element:
    """An element of HTML: its attributes and the text below it."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag, self.attributes, self.text = tag, attributes, ""


class Reader(HTMLParser):
    """Collects the elements of a page in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.open: list[Element] = []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        self.elements.append(Element(tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attrs):
        self.elements.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        for element in self.open:
            element.text += data


def read_page(path: Path) -> list[Element]:
    """Read a page whose elements all have to be closed."""
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert not reader.open
    return reader.elements


def all_of(elements: list[Element], *tags: str) -> list[Element]:
    """Return the elements of these kinds."""
    return [element for element in elements if element.tag in tags]


def numbers_of(elements: list[Element]) -> dict[str, object]:
    """Return the JSON that is inside a page."""
    return {
        element.attributes["id"]: json.loads(element.text)
        for element in all_of(elements, "script")
        if element.attributes.get("type") == "application/json"
    }


def read_markdown(text: str) -> list[tuple[str, str, str]]:
    """Return the blocks of Markdown as (block, text as shown, kinds of what is marked in it)."""
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens, found = parser.parse(text), []
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "inline":
            children = token.children
            shown = "".join(child.content for child in children)
            # Two signs next to one another are two pieces of text.
            kinds = {child.type for child in children} - {"text", "text_special"}
            found.append((before.tag, shown, " ".join(sorted(kinds))))
        elif token.type in ("fence", "code_block", "html_block", "hr"):
            found.append((token.type, token.content, ""))
        elif token.type in ("bullet_list_open", "ordered_list_open", "blockquote_open"):
            found.append((token.type, "", ""))
    return found
