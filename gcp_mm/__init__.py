"""Global covariance pooling for OpenMMLab, and for any other PyTorch network.

``gcp_mm.ops`` uses no OpenMMLab package. Importing ``gcp_mm`` imports none either: what it changes
in them waits until they are imported, see ``gcp_mm/_activate.py``.
"""

from gcp_mm.interruption import end_without_traceback as _end_without_traceback

# Before all that takes time.
_end_without_traceback()

from gcp_mm._activate import activate as _activate  # noqa: E402
from gcp_mm.version import __version__  # noqa: E402

_activate()

__all__ = ["__version__"]
