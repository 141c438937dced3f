"""The code blocks of the pages, with what each needs.

A comment ``<!-- needs: imagenet -->`` before a block says that it cannot be run here: it is checked
instead; one that needs a package of requirements/peers.in is run in a process of its own. A Python
block that begins with a comment that is a path is a file of that name. A text block after
``<!-- prints -->`` is what the block before it prints.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from docs.pages import PAGES, name_of, tokens

# Why a block that needs it is not run, and what of it is checked.
NEEDS = {
    "time": "takes minutes to hours",
    "imagenet": "ImageNet",
    "coco": "COCO",
    "gpu": "a GPU, or several processes",
    "network": "a package index, a server or a clone",
    "slurm": "a cluster",
    "fine-grained": "CUB, Aircraft or Cars",
    "imagenette": "Imagenette",
    "weights": "the authors' weights",
    "transformers": "a version of the package that mmpretrain does not bear",
    "pytorch-lightning": "the package, which nothing else of the tested stack needs",
}
# Those of .cache/peers, which only a process of its own looks into.
PEERS = {"transformers", "pytorch-lightning"}
LANGUAGES = {"python", "bash", "text", "mermaid"}
# Programs that change the machine, or go to the network.
OUTSIDE = re.compile(r"^(?:\w+=\S+ )*(?:git|make|pip|source|apt-get|docker)\b", re.M)
MARK = re.compile(r"<!-- (needs: (?P<needs>[\w, -]+?)|(?P<prints>prints)) -->\s*$")
FILE = re.compile(r"# ([\w./-]+\.(?:py|txt))\n")


@dataclass
class Block:
    """A block of code.

    Attributes:
        page: File that it is in.
        line: Its line there.
        language: What the fence says.
        code: The text.
        needs: What it needs that is not here.
        prints: What it prints, if the page says that.
    """

    page: Path
    line: int
    language: str
    code: str
    needs: tuple[str, ...]
    prints: str | None = None

    @property
    def place(self) -> str:
        """Return where it is, for messages."""
        return f"{name_of(self.page)}:{self.line}"

    @property
    def file(self) -> str | None:
        """Return the file that the block is, if it begins with one's name."""
        named = FILE.match(self.code)
        return named[1] if named and self.language == "python" else None

    @property
    def is_run(self) -> bool:
        """Return whether the block is executed after those before it, and not only checked."""
        outside = self.language == "bash" and OUTSIDE.search(self.code)
        return not self.needs and not outside and self.language in ("python", "bash")

    @property
    def is_run_apart(self) -> bool:
        """Return whether the block is executed in a process of its own."""
        return bool(self.needs) and set(self.needs) <= PEERS


@cache
def blocks_of(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    found, before = [], ""
    for token in tokens(page):
        if token.type == "fence" and not token.info.startswith("{"):
            mark = MARK.search(before)
            needs = (mark and mark["needs"] or "").split(",")
            if mark and mark["prints"]:
                found[-1].prints = token.content
            else:
                wanted = tuple(name.strip() for name in needs if name.strip())
                assert set(wanted) <= NEEDS.keys(), f"{name_of(page)}: needs {wanted}"
                found.append(
                    Block(page, token.map[0] + 1, token.info.strip(), token.content, wanted)
                )
        before = token.content if token.type == "html_block" else ""
    return found


ALL = [block for page in PAGES for block in blocks_of(page)]
