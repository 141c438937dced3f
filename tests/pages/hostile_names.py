"""Names of people and files with every sign that could mean something else."""

import random
import re

# What means something in HTML, in Markdown, in JavaScript or to a terminal, and what is no text.
SIGNS = [
    *("<", ">", "&", "&lt;", '"', "'", "`", "``", "|", "*", "**", "_", "__", "~~", "[", "]", "("),
    *(")", "!", "\\", "/", "#", "-", "+", "=", ":", "%", "$", "1.", "2)", "{", "}", "^", "@"),
    *("<b>", "</script>", "</style>", "<!--", "-->", "]]>", "<img src=x onerror=alert(1)>"),
    *("{{", "}}", "{%", "%}", "\n", "\r\n", "\t", "\0", "\x1b[31m", "\u2028", "\udcff", "\x85"),
    *("😀", "ü", "\u202e", "e\u0301", "漢", "a", "b", "Z", "7", " ", "  ", "resnet50_gcp"),
    *("[a](javascript:alert(1))", "https://e.org", "&amp", "\\|", "---", "```", "~~~"),
]


def names(count: int) -> list[str]:
    pick = random.Random(0)
    return SIGNS + ["".join(pick.choices(SIGNS, k=pick.randint(1, 9))) for _ in range(count)]


def as_shown(name: str) -> str:
    """Say what is to be seen of a name in one line."""
    name = re.sub("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]", "\ufffd", name)
    return " ".join(part for part in re.split("[ \t\n\r\x85\u2028]+", name) if part)
