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


def is_whole(site, name, contents):
    """Say whether all files of a package are there."""
    try:
        with Path(site, name, "RECORD").open(newline="", encoding="utf-8") as file:
            rows = [(*row, "", "")[:3] for row in csv.reader(file)]
        for relative, digest, size in rows:
            path = Path(site, relative)
            # Compiled ones are made anew when needed; without a size nothing is known.
            if path.suffix == ".pyc":
                continue
            if size and int(size) != path.stat().st_size:
                return False
            if not path.exists() or (contents and not has_digest(path, digest)):
                return False
    except (OSError, ValueError):
        return False
    return bool(rows)


def main(site, question, *names):
    """Print the answer, in one line."""
    if question == "list":
        text = Path(names[0]).read_text(encoding="utf-8")
        locked = {normalised(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
        found = sorted(path.name for path in Path(site).glob("*.dist-info"))
        print(*(name for name in found if is_ours(name, locked)))
    else:
        print(*(name for name in names if not is_whole(site, name, question == "contents")))


if __name__ == "__main__":
    main(*sys.argv[1:])
