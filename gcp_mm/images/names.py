"""Which files below a folder are images: one list of extensions, one of names that never are."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.plain_data import text_only

#: Endings of image files, lower case.
IMAGE_EXTENSIONS = tuple(
    ".avif .bmp .gif .jfif .jp2 .jpe .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()
)

# What systems, cameras, network drives and editors leave in folders, beside names with a dot.
_SYSTEM_NAMES = {
    "$recycle.bin",
    "@eadir",
    "#recycle",
    "@recycle",
    "__macosx",
    "__pycache__",
    "desktop.ini",
    "ehthumbs.db",
    "icon\r",
    "lost+found",
    "system volume information",
    "thumbs.db",
}


def is_system_name(name: str) -> bool:
    """Say whether a file or folder is hidden or a system's own, such as ``.ipynb_checkpoints``."""
    return name.startswith((".", "~$")) or name.lower() in _SYSTEM_NAMES


def is_text(name: str) -> bool:
    """Say whether a name is text: archives from elsewhere unpack into bytes that are no UTF-8."""
    return not any("\ud800" <= sign <= "\udfff" for sign in name)


def is_image_name(path: str, extensions: Sequence[str] = IMAGE_EXTENSIONS) -> bool:
    """Say whether a path from the folder of the data is that of an image."""
    parts = PurePosixPath(path).parts
    return path.lower().endswith(tuple(extensions)) and not any(map(is_system_name, parts))


@dataclass
class LeftOut:
    """What is not an image: hidden and system names, and files with other endings."""

    system: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def log(self, source: str, extensions: Iterable[str]) -> None:
        """Log what was left out, if anything was: files with other endings as a warning."""
        # It takes seconds to import, and the rest of this module does without.
        from gcp_mm.first_process import log, warn

        if self.system or self.others:
            say = warn if self.others else log
            say(self.describe(source, extensions))

    def describe(self, source: str, extensions: Iterable[str]) -> str:
        """Count and name everything in one line."""
        parts = []
        if self.others:
            endings = Counter(
                PurePosixPath(name).suffix.lower() or "none" for name in sorted(self.others)
            )
            counts = ", ".join(f"{ending} {count}" for ending, count in endings.most_common(6))
            parts.append(
                f"{len(self.others)} files that are no images by their ending ({counts}): "
                f"{abbreviate(sorted(self.others))}; images end in {', '.join(sorted(extensions))}"
            )
        if self.system:
            parts.append(
                f"{len(self.system)} hidden or system names: {abbreviate(sorted(self.system))}"
            )
        # Names of another encoding are no text, which logs could not write.
        return text_only(f"{source!r}: left out {'; '.join(parts)}")


@dataclass
class ImageFiles:
    """The images below a folder, as paths from there with slashes.

    Attributes:
        folders: The folders directly in it, sorted.
        files: The images in these folders, however deep, sorted in each of them.
        dangling: Those of them that are links to nothing.
        left_out: Everything else.
    """

    folders: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    dangling: list[str] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)


def list_class_folders(root: str | Path) -> list[str]:
    """Return the names of the folders directly in a folder, sorted, without system names."""
    return _list_top(Path(root), LeftOut())


def list_image_files(
    root: str | Path,
    extensions: Sequence[str] = IMAGE_EXTENSIONS,
    folders: bool = True,
    show: bool = False,
) -> ImageFiles:
    """List ``ROOT/<folder>/.../<image>``; links are followed."""
    root, endings, found = Path(root), tuple(extensions), ImageFiles()
    if folders:
        found.folders = _list_top(root, found.left_out)
    names = found.folders if folders else [""]
    bar: AbstractContextManager = nullcontext()
    if show:
        # mmengine takes seconds to import, and the rest of this module does without.
        from gcp_mm.console.progress import if_long

        bar = if_long(len(names), f"listing the folders of {str(root)!r}")
    with bar as progress:
        for name in names:
            above = (_identity(root),) if name else ()
            # Folder after folder: "a-b" is behind "a", which as paths would be before it.
            found.files += sorted(_walk(root, name, above, endings, found))
            if progress:
                progress.update()
    return found


def _list_top(root: Path, left_out: LeftOut) -> list[str]:
    names = []
    for entry in _scan(root):
        if is_system_name(entry.name):
            left_out.system.append(entry.name)
        elif _is_broken(entry):
            target = str(Path(entry.path).readlink())
            raise UserError(
                f"{entry.path!r} is a link to nothing ({target!r}), where a class folder may have "
                "been meant: mend or remove it"
            )
        elif entry.is_dir():
            names.append(entry.name)
        else:
            left_out.others.append(entry.name)
    return sorted(names)


def _walk(
    root: Path,
    folder: str,
    above: tuple[tuple[int, int], ...],
    endings: tuple[str, ...],
    found: ImageFiles,
) -> Iterator[str]:
    """Yield the images in a folder, given the identities of the folders above it."""
    path = root / folder
    identity = _identity(path)
    if identity in above:
        raise UserError(
            f"{str(path)!r} leads back to a folder above it, so that its images would count "
            "again and again: remove the link"
        )
    for entry in _scan(path):
        name = f"{folder}/{entry.name}" if folder else entry.name
        if is_system_name(entry.name):
            found.left_out.system.append(name)
            continue
        is_broken = _is_broken(entry)
        if not is_broken and entry.is_dir():
            yield from _walk(root, name, (*above, identity), endings, found)
        # Reading a pipe would wait for ever.
        elif name.lower().endswith(endings) and (is_broken or entry.is_file()):
            if is_broken:
                found.dangling.append(name)
            yield name
        else:
            found.left_out.others.append(name)


def _scan(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"folder {str(folder)!r} cannot be read: {error}") from error


def _is_broken(entry: os.DirEntry) -> bool:
    # A link to itself is none that exists either, nor one whose target has no possible name.
    try:
        return entry.is_symlink() and not Path(entry.path).exists()
    except OSError:
        return True


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise UserError(f"folder {str(folder)!r} cannot be read: {error}") from error
    return status.st_dev, status.st_ino
