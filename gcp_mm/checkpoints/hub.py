"""``hf://OWNER/NAME/FILE``: checkpoints of the Hugging Face Hub.

The package huggingface_hub fetches and caches them; its environment variables (``HF_ENDPOINT``,
``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``, ``HF_TOKEN``, ...) mean what they mean there.
"""

from __future__ import annotations

import contextlib
import errno
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from gcp_mm.errors import CheckpointNotFoundError, FileWriteError, UserError, first_line
from gcp_mm.files import sha256

SCHEME = "hf://"

_PART = r"[A-Za-z0-9_][A-Za-z0-9_.\-]*"
# A branch, a tag, a commit, or a pull request.
_REVISION = rf"refs/pr/[0-9]+|{_PART}"
_ADDRESS = re.compile(
    rf"hf://(?P<repository>{_PART}/{_PART})(?:@(?P<revision>{_REVISION}))?/(?P<file>.+)"
)
# What the disk of a cache says, as no connection does; SSL has small numbers of its own.
DISK_ERRORS = (errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EROFS)
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Address:
    """A file of a repository ``OWNER/NAME``; the revision None is the main branch."""

    repository: str
    file: str
    revision: str | None = None

    def __str__(self) -> str:
        """Format as it is written in a config."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{SCHEME}{self.repository}{revision}/{self.file}"


def is_address(filename: object) -> bool:
    """Say whether a checkpoint is named by an address of the hub."""
    return isinstance(filename, str) and filename.startswith(SCHEME)


def parse(address: str) -> Address:
    """Take an address apart; refuse one that could name a place outside of its repository."""
    match = _ADDRESS.fullmatch(address)
    if (
        match is None
        or {"", ".", ".."} & set(match["file"].split("/"))
        or re.search(r"\.\.|--", f"{match['repository']} {match['revision']}")
        or not address.isprintable()
        or "\\" in address
    ):
        raise UserError(
            f"{address!r} is no address of the Hugging Face Hub: write hf://OWNER/NAME/FILE or "
            "hf://OWNER/NAME@REVISION/FILE, for example hf://OWNER/NAME/model.safetensors"
        )
    return Address(match["repository"], match["file"], match["revision"])


def download(address: str) -> Path:
    """Fetch a file into the cache of huggingface_hub, unless it is there already.

    Of several processes one downloads: huggingface_hub locks the file in the cache, and the others
    wait for it.
    """
    parsed = parse(address)
    library = _library(parsed)
    try:
        path = library.hf_hub_download(parsed.repository, parsed.file, revision=parsed.revision)
    except Exception as error:  # of httpx or requests, by the version of huggingface_hub
        raise _explain(error, parsed, library) from error
    _check_digest(Path(path), parsed)
    return Path(path)


def _library(address: Address) -> ModuleType:
    """Import the package, which is not needed for anything else."""
    try:
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ModuleNotFoundError as error:
        raise UserError(
            f"{address} needs the package huggingface_hub ({error}): pip install huggingface_hub, "
            f"or fetch {address.file} from https://huggingface.co/{address.repository} with a "
            "browser and give its path"
        ) from error
    return huggingface_hub


def _explain(error: Exception, address: Address, library: ModuleType) -> UserError:
    """Say in one line why a file could not be had, and what to do."""
    errors, constants = library.errors, library.constants
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        cache = f"the cache {constants.HF_HUB_CACHE} (HF_HUB_CACHE)"
        return FileWriteError.of(error, f"{address} cannot be written to {cache}")
    where = f"{address} ({constants.ENDPOINT})"
    log_in = "log in (`hf auth login`, or set HF_TOKEN)"
    if isinstance(error, errors.GatedRepoError):
        page = f"{constants.ENDPOINT}/{address.repository}"
        return UserError(
            f"{where}: access to {address.repository} is restricted: accept its conditions at "
            f"{page} and {log_in}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return CheckpointNotFoundError(
            f"{where}: there is no repository {address.repository}, or it is private: correct the "
            f"name, or {log_in}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return CheckpointNotFoundError(
            f"{where}: {address.repository} has no revision {address.revision!r}: name a branch, a "
            "tag or a whole commit after the @"
        )
    if isinstance(error, errors.LocalEntryNotFoundError):
        return _explain_absence(error, where, library)
    if isinstance(error, errors.EntryNotFoundError):
        return CheckpointNotFoundError(
            f"{where}: {address.repository} has no file {address.file!r} in revision "
            f"{address.revision or 'main'!r}: correct the name (folders belong to it)"
        )
    if isinstance(error, errors.HFValidationError):
        return UserError(f"{where}: {_reason(error)}")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return UserError(f"{where}: the server refuses access (HTTP {status}): {log_in}")
    return UserError(
        f"{where} could not be downloaded ({_reason(error)}): try again, or fetch the file "
        "elsewhere and give its path"
    )


def _reason(error: BaseException) -> str:
    return first_line(error).rstrip(".")


def _explain_absence(error: Exception, where: str, library: ModuleType) -> UserError:
    """Tell an intended absence of the network from a failure of it."""
    cache = library.constants.HF_HUB_CACHE
    if isinstance(error.__cause__, library.errors.OfflineModeIsEnabled):
        return CheckpointNotFoundError(
            f"{where} is not in the cache {cache}, and HF_HUB_OFFLINE forbids to fetch it: unset "
            "that, or download it once on a machine with a connection and copy the cache, or give "
            "the path of a file"
        )
    reason = _reason(error.__cause__ or error)
    return UserError(
        f"{where} is not in the cache {cache}, and the server did not give it ({reason}): check "
        "the connection, HF_ENDPOINT and the proxy, or download the file elsewhere and give its "
        "path"
    )


def _check_digest(path: Path, address: Address) -> None:
    """Compare a file with the sha256 that the hub gave for it, which names it in the cache.

    huggingface_hub itself checks its size alone. Small files have another digest, and where the
    cache cannot hold links, the name is lost.
    """
    blob = path.parent / path.readlink() if path.is_symlink() else path
    # A link again: hf_xet keeps the file, and has checked it.
    if blob.is_symlink() or blob.parent.name != "blobs" or not _SHA256.fullmatch(blob.name):
        return
    digest = sha256(blob)
    if digest != blob.name:
        # Of several processes one removes it, and a shared cache may not be ours to change.
        for file in (path, blob):
            with contextlib.suppress(OSError):
                file.unlink()
        kept = f"; remove {blob}" if blob.exists() else "; it was not kept"
        raise UserError(
            f"{address}: what came has the sha256 {digest}, and the hub's file {blob.name}"
            f"{kept}. Try again, or fetch the file elsewhere and give its path"
        )
