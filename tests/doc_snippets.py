"""Examples in the documentation, so that tests run what is written there."""

import re

from shared_folder import REPO


def python_snippet(page: str, word: str, **replaced: object) -> str:
    """Return the Python example of a page that holds a word, with texts replaced by paths."""
    text = (REPO / page).read_text(encoding="utf-8")
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if word in code)
    for written, path in replaced.items():
        quoted = re.compile(rf"""(["']){re.escape(written)}\1""")
        assert quoted.search(code), written
        code = quoted.sub(lambda _, path=path: repr(str(path)), code)
    return code
