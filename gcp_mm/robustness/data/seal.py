"""The digest of a file inside the file, because neither JPEG nor H.264 nor mp4 has a checksum.

A decoder takes most damaged bytes of an entropy code for others that are right. Behind each image
and each clip made here stands a box of free space with the sha256 of all before it: the last box of
an mp4 file, which every program skips, and bytes behind the end of a JPEG image, which nothing
reads. So it comes and goes with the file, whatever tree that is copied to. The released files have
none.
"""

from __future__ import annotations

import hashlib

SEAL = "sha256 in the last box"
#: What is wrong with a file that is not intact.
NOT_AS_WRITTEN = "its bytes are not those that were written"

_TAG = b"gcp_mm sha256 "
_SIZE = 8 + len(_TAG) + 32
_HEAD = _SIZE.to_bytes(4, "big") + b"free" + _TAG


def seal(content: bytes) -> bytes:
    """Return a JPEG or mp4 file with the box at its end."""
    return content + _HEAD + hashlib.sha256(content).digest()


def is_intact(content: bytes, sealed: bool = False) -> bool:
    """Say whether a file is as its seal says; without one it is, unless it has to have one."""
    body, box = content[:-_SIZE], content[-_SIZE:]
    if not box.startswith(_HEAD):
        return not sealed
    return hashlib.sha256(body).digest() == box[len(_HEAD) :]
