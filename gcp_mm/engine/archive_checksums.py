"""The checksums in a file of ``torch.save``, which ``torch.load`` does not look at.

Since torch 1.6 such a file is a zip archive with the CRC-32 of every record. A flipped byte inside
a tensor is a plain wrong number otherwise. Before torch 1.6 there was no checksum.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from gcp_mm.engine.file_kind import MAGIC
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate

_BLOCK = 1 << 20


def check_file(path: Path) -> None:
    """Compare a file with the checksums in it, if it has the form that has some.

    Args:
        path: A file of ``torch.save``.

    Raises:
        UserError: If it is damaged or truncated.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC[0])) != MAGIC[0]:
            return
    try:
        check_archive(path)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise UserError(f"{path} ({path.stat().st_size} bytes) is truncated: {error}") from error


def check_archive(path: Path) -> None:
    """Compare every record of a zip archive with its checksum.

    An archive all of whose checksums are 0 was written without them
    (``torch.serialization.set_crc32_options(False)``) and passes.

    Args:
        path: A file that begins as a zip archive.

    Raises:
        UserError: If a record is damaged, or the archive is not one of ``torch.save``.
        zipfile.BadZipFile, OSError, EOFError: If it is no complete archive.
    """
    where = f"checkpoint {str(path)!r} ({path.stat().st_size} bytes)"
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
