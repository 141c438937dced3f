"""The errors of the FAQ are those of the code, word by word."""

import ast

from shared_folder import REPO

from docs.pages import tokens


def text_of(node):
    """Return the fixed words of a text in the code, `...` in the place of what is filled in."""
    if isinstance(node, ast.JoinedStr):
        parts = (text_of(value) or "..." for value in node.values)
        return "".join(parts)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ""


def test_errors_are_those_of_the_code():
    texts = {
        " ".join(text_of(node).split())
        for path in (REPO / "gcp_mm").rglob("*.py")
        if ".mim" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.JoinedStr | ast.Constant)
    }
    page = tokens(REPO / "docs/faq.md")
    headings = [
        following.content.strip("`")
        for token, following in zip(page, page[1:], strict=False)
        if token.tag == "h3" and token.type == "heading_open" and following.content[0] == "`"
    ]
    assert len(headings) > 20
    for heading in headings:
        pieces = [piece.strip(" :()") for piece in heading.split("...")]
        pieces = [piece for piece in pieces if len(piece) > 3]
        assert any(all(piece in text for piece in pieces) for text in texts), heading
