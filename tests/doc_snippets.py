"""Examples in the documentation, so that tests run what is written there."""

import re

from shared_folder import REPO


def python_snippet(page: str, word: str, **replaced: object) -> str:
    """Return the Python example of a page that holds a word, with texts replaced by paths."""
    text = (REPO / page).read_text(encoding="utf-8")
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if word in code)
    for written, path in replaced.items():
        assert f"'{written}'" in code, written
        code = code.replace(f"'{written}'", repr(str(path)))
    return code
