"""Where a training run was when it ended, however it ended."""

from __future__ import annotations

import re
from pathlib import Path


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """Find the checkpoint that ``--resume`` continues with.

    mmengine writes the pointer file ``last_checkpoint`` with an absolute path and not atomically.
    A pointer that is empty, or whose folder was moved, must not end a run that can go on.

    Args:
        work_dir: The work folder of the run.

    Returns:
        The checkpoint named by ``last_checkpoint`` if it exists, here or under the recorded path;
        otherwise the newest ``epoch_N.pth`` or ``iter_N.pth``; None if there is no checkpoint.
    """
    folder = Path(work_dir)
    pointer = folder / "last_checkpoint"
    recorded = pointer.read_text().strip() if pointer.is_file() else ""
    if recorded:
        for path in (folder / Path(recorded).name, Path(recorded)):
            if path.is_file():
                return str(path)
    numbered = {
        int(match[1]): path
        for path in folder.glob("*.pth")
        if (match := re.fullmatch(r"(?:epoch|iter)_(\d+)\.pth", path.name))
    }
    return str(numbered[max(numbered)]) if numbered else None
