"""What a compiled library is recognised by. ``setup.py`` runs this file before torch is there."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

ELF = b"\x7fELF"
MARK = b"\ngcp_mm code sha256 "
# What computes. Tools that make a library smaller (strip) or move it (patchelf, conda, auditwheel)
# rewrite the tables around it, and leave these sections as they are.
CODE = (b".text", b".rodata")


def source_digest(folder: Path) -> str:
    """Return a SHA-256 digest of the C files in a folder, names and contents; '' without any."""
    files = sorted(path for suffix in ("c", "h") for path in folder.glob(f"*.{suffix}"))
    parts = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if files else ""


def _sections(content: bytes) -> dict[bytes, bytes]:
    """Cut a 64-bit ELF file into its sections, none if its table of them was taken out.

    Raises ValueError or struct.error where the file ends before something that it lists.
    """
    order = "<" if content[5] == 1 else ">"
    # Where the tables of segments and of sections are, and how many rows of which length they have.
    segments, table = struct.unpack_from(f"{order}QQ", content, 32)
    length, count, row, rows, names = struct.unpack_from(f"{order}HHHHH", content, 54)

    def part(offset: int, size: int) -> bytes:
        if offset + size > len(content):
            raise ValueError
        return content[offset : offset + size]

    for index in range(count):
        offset, _, _, size = struct.unpack_from(
            f"{order}QQQQ", content, segments + index * length + 8
        )
        part(offset, size)
    found = []
    part(table, rows * row)
    for index in range(rows if table else 0):
        name, kind = struct.unpack_from(f"{order}II", content, table + index * row)
        offset, size = struct.unpack_from(f"{order}QQ", content, table + index * row + 24)
        # Rows of no kind (0) and of memory without contents (8) have nothing in the file.
        found.append((name, kind, b"" if kind in (0, 8) else part(offset, size)))
    if not found:
        return {}
    _, kind, texts = found[names]
    if kind != 3:  # a table of strings: where zeros were left at the end, there is none
        raise ValueError
    return {texts[name:].partition(b"\0")[0]: text for name, _, text in found}


def _seal_of(sections: dict[bytes, bytes]) -> bytes:
    code = b"".join(sections.get(name, b"") for name in CODE)
    return MARK + hashlib.sha256(code).hexdigest().encode()


def is_whole(library: Path) -> bool:
    """Say whether a library was neither cut nor changed where it computes, without loading it.

    The loader of Linux maps a file that was cut, and Python dies when it touches what is missing.
    It refuses by itself what is no ELF file; other systems check their libraries. A library without
    the seal (``strip`` drops it) or without a table of sections is judged by its extents alone.
    """
    content = library.read_bytes()
    if not content.startswith(ELF) or content[4:5] == b"\1":  # torch is for 64 bits
        return True
    try:
        sections = _sections(content)
    except (ValueError, IndexError, struct.error):
        return False
    sealed = content.rfind(MARK)
    return sealed < 0 or not sections or content.startswith(_seal_of(sections), sealed)


def seal(library: Path) -> None:
    """Append the digest of its code to an ELF file, once; loaders do not read behind its end."""
    content = library.read_bytes()
    if content.startswith(ELF + b"\2") and MARK not in content:
        with library.open("ab") as file:
            file.write(_seal_of(_sections(content)))
