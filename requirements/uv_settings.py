"""Print uv's index settings as variables of pip, ``NAME=VALUE`` a line.

The reverse of pip_settings.py, for what pip downloads: uv's variables and its uv.toml say where to
look, and pip reads neither. What pip was told in its own variables stays.
"""

import os
import sys
from pathlib import Path

from pip_settings import uv_config_files

# pip's variable, uv's variables for it, and what parts their values.
VARIABLES = (
    ("PIP_INDEX_URL", ("UV_DEFAULT_INDEX", "UV_INDEX_URL"), None),
    ("PIP_EXTRA_INDEX_URL", ("UV_INDEX", "UV_EXTRA_INDEX_URL"), None),
    ("PIP_FIND_LINKS", ("UV_FIND_LINKS",), ","),
    ("PIP_NO_INDEX", ("UV_NO_INDEX",), None),
    ("PIP_TRUSTED_HOST", ("UV_INSECURE_HOST",), None),
)


def without_name(index: str) -> str:
    """Drop the name that uv lets an index have: ``internal=https://...``."""
    name, equals, url = index.partition("=")
    return url if equals and "/" not in name and ":" not in name else index


def settings_of_file(path: Path) -> dict[str, list[str]]:
    """Read what a uv.toml says of indexes."""
    try:
        import tomllib
    except ImportError:  # Python 3.10
        print(f"{path} is not read on Python 3.10: set UV_DEFAULT_INDEX", file=sys.stderr)
        return {}
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        print(f"{path} is not read: {error}", file=sys.stderr)
        return {}
    content = {**content, **content.get("pip", {})}
    indexes = [entry for entry in content.get("index", []) if not entry.get("explicit")]
    defaults = [entry["url"] for entry in indexes if entry.get("default")]
    extra = [entry["url"] for entry in indexes if not entry.get("default")]
    found = {
        "PIP_INDEX_URL": defaults[:1] or [content.get("index-url", "")],
        "PIP_EXTRA_INDEX_URL": extra + content.get("extra-index-url", []),
        "PIP_FIND_LINKS": content.get("find-links", []),
        "PIP_NO_INDEX": ["1"] if content.get("no-index") else [],
        "PIP_TRUSTED_HOST": content.get("allow-insecure-host", []),
    }
    return {name: values for name, values in found.items() if any(values)}


def pip_variables() -> dict[str, str]:
    """Translate what pip has not been told itself."""
    found: dict[str, list[str]] = {}
    for path in uv_config_files():
        found.update(settings_of_file(path))
    for name, sources, separator in VARIABLES:
        told = [os.environ[source] for source in sources if os.environ.get(source)]
        if told:
            found[name] = [without_name(value) for value in told[0].split(separator)]
    return {name: " ".join(values) for name, values in found.items() if not os.environ.get(name)}


if __name__ == "__main__":
    for variable, value in pip_variables().items():
        print(f"{variable}={value}")
