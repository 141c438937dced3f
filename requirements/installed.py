"""Name the packages of a lock that are in an environment, or those that are not whole.

    python installed.py SITE_PACKAGES list LOCK          prints the names of *.dist-info folders
    python installed.py SITE_PACKAGES sizes NAME...      those of the names that are not whole
    python installed.py SITE_PACKAGES contents NAME...   the same, and every byte counts

Whole is a package whose files are there with the sizes, or the contents, that its RECORD states.
What people install beside the lock is theirs, and not looked at. Standard library only: it has to
run where nothing else does.
"""

import base64
import csv
import hashlib
import re
import sys
from pathlib import Path

# What no lock names: the project, compiled mmcv, and what a torch from elsewhere brings.
OTHERS = re.compile(r"gcp-mm|mmcv|(nvidia|cuda)-.*")


def normalised(name):
    """Spell the name of a package as a lock does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def is_ours(folder, locked):
    """Say whether a *.dist-info folder is of a package that the installer has put there."""
    name = normalised(folder.partition("-")[0])
    return name in locked or OTHERS.fullmatch(name) is not None


def has_digest(path, stated):
    """Compare a file with ``sha256=...`` of a RECORD, which may state none."""
    kind, _, expected = stated.partition("=")
    if kind != "sha256":
        return True
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() == expected


def rows_of(site, name):
    """Return what a package's RECORD states of its files: (path, digest, size)."""
    try:
        with Path(site, name, "RECORD").open(newline="", encoding="utf-8") as file:
            return [(*row, "", "")[:3] for row in csv.reader(file)]
    except (OSError, ValueError):
        return []


def is_as_stated(site, row, contents):
    """Say whether a file is there with the size, or the content, of a row."""
    relative, digest, size = row
    path = Path(site, relative)
    try:
        # Compiled ones are made anew when needed; without a size nothing is known.
        if path.suffix == ".pyc":
            return True
        if size and int(size) != path.stat().st_size:
            return False
        return path.exists() and not (contents and not has_digest(path, digest))
    except (OSError, ValueError):
        return False


def damaged(site, names, contents):
    """Return the names of the packages that are not whole."""
    stated = {name: rows_of(site, name) for name in names}
    wrong = {
        name: {row[0] for row in rows if not is_as_stated(site, row, contents)}
        for name, rows in stated.items()
    }
    # What two packages bring is as the later one has it: docs/en/conf.py of onedl-mmcv and -mim.
    paths = set().union(*wrong.values())
    rows = (row for rows in stated.values() for row in rows if row[0] in paths)
    by_another = {row[0] for row in rows if is_as_stated(site, row, contents)}
    return [name for name, rows in stated.items() if not rows or wrong[name] - by_another]


def main(site, question, *names):
    """Print the answer, in one line."""
    if question == "list":
        text = Path(names[0]).read_text(encoding="utf-8")
        locked = {normalised(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
        found = sorted(path.name for path in Path(site).glob("*.dist-info"))
        print(*(name for name in found if is_ours(name, locked)))
    else:
        print(*damaged(site, names, question == "contents"))


if __name__ == "__main__":
    main(*sys.argv[1:])
