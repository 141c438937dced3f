"""Cures that importing mmdet imports seaborn, and with it pandas and ``scipy.stats``.

mmdet/utils/mot_error_visualize.py does so where seaborn is installed, for one drawing of tracks
(https://github.com/open-mmlab/mmdetection/blob/v3.3.0/mmdet/utils/mot_error_visualize.py). It
takes a tenth of the time that each program needs to start, and mmdet's own analyze_logs needs it to
be installed. So the first import of it gives the module unread, which Python reads when something
is taken from it (``importlib.util.LazyLoader``). Where it is absent, nothing changes.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

NAME = "seaborn"


class UnreadSeabornFinder(MetaPathFinder):
    """A finder of ``sys.meta_path`` that knows one name, and answers once."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the other finders have, with a loader that waits."""
        if fullname != NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def read_it_when_used(_: ModuleType) -> None:
    """Prepare the import of seaborn that is to come, when mmdet itself has been imported."""
    if NAME not in sys.modules:
        sys.meta_path.insert(0, UnreadSeabornFinder())
