"""What a compiled library is recognised by. ``setup.py`` runs this file before torch is there."""

import hashlib
from pathlib import Path


def source_digest(folder: Path) -> str:
    """Return a SHA-256 digest of the C files in a folder, names and contents; '' without any."""
    files = sorted(path for suffix in ("c", "h") for path in folder.glob(f"*.{suffix}"))
    parts = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if files else ""
