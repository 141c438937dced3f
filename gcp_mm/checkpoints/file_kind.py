"""What a checkpoint file is by its first bytes, and whether its bytes are those that were written.

The suffix decides how a file is read; its content explains why that failed.

Since torch 1.6 a file of ``torch.save`` is a zip archive with the CRC-32 of every record, which
``torch.load`` does not look at: a flipped byte inside a tensor is a plain wrong number otherwise.
Before torch 1.6 there was no checksum.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch

from gcp_mm.errors import UserError, first_line
from gcp_mm.files import abbreviate

SUFFIX, _INDEX_SUFFIX = ".safetensors", ".safetensors.index.json"

# What torch.save begins a file with: a zip archive, or before torch 1.6 a pickle.
_ARCHIVE, _PICKLE = b"PK\x03\x04", b"\x80"
# What packs or holds files of another kind, and what to do with it.
_OTHER = {
    b"\x1f\x8b": "is packed with gzip: unpack it (gunzip) and name the file in it",
    b"BZh": "is packed with bzip2: unpack it (bunzip2) and name the file in it",
    b"\xfd7zXZ\x00": "is packed with xz: unpack it (unxz) and name the file in it",
    b"\x28\xb5\x2f\xfd": "is packed with zstd: unpack it (unzstd) and name the file in it",
    b"7z\xbc\xaf\x27\x1c": "is packed with 7-Zip: unpack it and name the file in it",
    b"Rar!": "is packed with RAR: unpack it and name the file in it",
    b"\x89HDF": "is an HDF5 file, such as Keras writes: only files of PyTorch are read",
    b"\x93NUMPY": "is an array of NumPy, not a checkpoint: save a state_dict with torch.save",
    b"version https://git-lfs": "is a pointer of Git LFS, not the file: run `git lfs pull` in its "
    "repository",
}
# What torch.load says of a device that is not there.
_OF_THE_DEVICE = ("deserialize object on", "restore data location")
_BLOCK = 1 << 20  # bytes that are read at once
# The library refuses longer headers; what another file has there is far more, read as a number.
_LONGEST_HEADER = 100_000_000


def _begins_like_safetensors(beginning: bytes) -> bool:
    """Say whether there are the length of a header and an opening brace."""
    return beginning[8:9] == b"{" and int.from_bytes(beginning[:8], "little") <= _LONGEST_HEADER


def _begins_like_torch(beginning: bytes) -> bool:
    """Look at nine bytes, because the length of a header can begin like a pickle."""
    return beginning.startswith((_ARCHIVE, _PICKLE)) and not _begins_like_safetensors(beginning)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def is_safetensors(path: str | Path) -> bool:
    """Say whether a file is read and written as safetensors: whether its suffix says so."""
    return str(path).lower().endswith(SUFFIX)


def is_torch(path: Path) -> bool:
    """Say whether a file begins as one of ``torch.save`` of any age."""
    return _begins_like_torch(_beginning(path))


def is_web_page(path: Path) -> bool:
    """Say whether a file begins like HTML or XML, which no checkpoint does."""
    beginning = _beginning(path)
    # The length of a header of safetensors can begin so, but has zeros behind that.
    is_text = b"\0" not in beginning[:8]
    return is_text and beginning.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def with_size(path: Path) -> str:
    """Name a checkpoint and its size, the beginning of what is said of it."""
    return f"checkpoint {str(path)!r} ({path.stat().st_size} bytes)"


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say why a file is not what its suffix says, by its first bytes."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the libraries raise a dozen types for a damaged file
        kind = "safetensors file" if is_safetensors(path) else "PyTorch checkpoint"
        what = (
            _not_the_file(path, error)
            or _other_kind(path)
            or f"cannot be read: it is truncated or not a {kind}. Use an earlier checkpoint or "
            f"fetch the file again ({first_line(error)})"
        )
        raise UserError(f"{with_size(path)} {what}") from error


def _not_the_file(path: Path, error: Exception) -> str | None:
    """Say what stands between a file and its reader; None if the file may be at fault."""
    told = first_line(error)
    if not os.access(path, os.R_OK):
        return "cannot be read: permission denied. Change its rights, or ask its owner to"
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return f"does not fit into the memory ({told}): free some, or load it on the CPU"
    if any(part in told for part in _OF_THE_DEVICE):
        return f"cannot be put on a device ({told}): load it with map_location='cpu'"
    return None


def _other_kind(path: Path) -> str | None:
    """Say what a file is and what to do with it, None if its first bytes tell nothing."""
    if is_web_page(path):
        return (
            "is a web page, not a checkpoint. Google Drive answers with one before it hands out a "
            "large file, and when its quota is used up: open the link in a browser and confirm the "
            "download, or fetch the file from the mirror"
        )
    beginning = _beginning(path)
    for magic, what in _OTHER.items():
        if beginning.startswith(magic):
            return what
    if beginning.startswith(b"ustar", 257):
        return "is a tar archive: unpack it (tar -xf) and name the file in it"
    if is_safetensors(path):
        if _begins_like_torch(beginning):
            return (
                "is a PyTorch checkpoint with the suffix of safetensors: rename it to "
                f"{path.with_suffix('.pth').name!r}"
            )
    elif _begins_like_safetensors(beginning):
        return f"is a safetensors file with another suffix: rename it to {path.stem + SUFFIX!r}"
    return None


def several_files(path: Path) -> str | None:
    """Say why a path is no single checkpoint, if it is a folder or the index of shards."""
    shards = path.is_dir() and next(iter(sorted(path.glob(f"*{_INDEX_SUFFIX}"))), None)
    if path.name.lower().endswith(_INDEX_SUFFIX) or shards:
        return (
            "is a checkpoint in several files, which is not supported: load each of them with "
            "safetensors.torch.load_file, put the tensors into one dict and save that with "
            "safetensors.torch.save_file"
        )
    if (path / "data.pkl").is_file():
        return (
            "is a checkpoint that was unpacked into a folder, as some browsers do with a zip "
            "archive: fetch the file again without unpacking it"
        )
    if path.is_dir():
        files = sorted(p.name for p in path.iterdir() if p.suffix in (SUFFIX, ".pth", ".pt"))
        found = f"; it has {', '.join(files[:4])}" if files else ""
        return f"is a folder: name a checkpoint file in it{found}"
    return None


def check_archive(path: Path) -> None:
    """Compare every record of a file with its checksum, if the file has the form that has some.

    An archive all of whose checksums are 0 was written without them
    (``torch.serialization.set_crc32_options(False)``) and passes.
    """
    where = with_size(path)
    if not _beginning(path).startswith(_ARCHIVE):
        return
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        if any(record.filename.endswith("/constants.pkl") for record in records):
            raise UserError(
                f"{where} is a TorchScript program, which is not run: load it with torch.jit.load "
                "where it comes from, and save its state_dict() with torch.save"
            )
        if not any(record.filename.endswith("/data.pkl") for record in records):
            held = abbreviate(record.filename for record in records) or "nothing"
            raise UserError(
                f"{where} is a zip archive of other files ({held}), not one of torch.save: unpack "
                "it and name the checkpoint in it"
            )
        for record in records:
            # Also a guard: a few bytes could unpack to more than fits into the memory.
            if record.compress_type != zipfile.ZIP_STORED or (
                record.file_size != record.compress_size
            ):
                raise UserError(
                    f"{where} was packed again: {record.filename} in it is compressed, which "
                    "torch.save never does. Unpack the original file, or save the checkpoint anew"
                )
        if not any(record.CRC for record in records):
            return
        # By record, not by name (testzip): a name may be there twice, and the reason is of use.
        for record in records:
            try:
                with archive.open(record) as file:
                    while file.read(_BLOCK):
                        pass
            except zipfile.BadZipFile as error:
                raise UserError(
                    f"{where} is damaged: {record.filename} in it does not have its checksum "
                    f"({error}), so that a tensor would hold wrong numbers. Use an earlier "
                    "checkpoint or fetch the file again"
                ) from error
