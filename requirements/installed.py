"""Name what is in an environment, or what of it is missing or damaged.

    python installed.py SITE_PACKAGES             prints the names of its *.dist-info folders
    python installed.py SITE_PACKAGES NAME...     prints those of the names that are not whole

Whole is a package whose files are there with the sizes that its RECORD states. Standard library
only: it has to run where nothing else does.
"""

import csv
import sys
from pathlib import Path


def is_whole(site, name):
    """Say whether all files of a package are there."""
    try:
        with Path(site, name, "RECORD").open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except OSError:
        return False
    for row in rows:
        path, size = Path(site, row[0]), row[2] if len(row) > 2 else ""
        # Compiled ones are made anew when needed; without a size nothing is known.
        if path.suffix == ".pyc":
            continue
        try:
            found = path.stat().st_size
        except OSError:
            return False
        if size and int(size) != found:
            return False
    return bool(rows)


def main(site, names):
    """Print the answer, in one line."""
    if names:
        print(*(name for name in names if not is_whole(site, name)))
    else:
        print(*sorted(path.name for path in Path(site).glob("*.dist-info")))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
