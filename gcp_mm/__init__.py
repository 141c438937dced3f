"""Global covariance pooling for OpenMMLab, and for any other PyTorch network.

``gcp_mm.ops`` uses no OpenMMLab package. Importing ``gcp_mm`` imports none either: what it changes
in them waits until they are imported, see ``gcp_mm/engine/activate.py``.
"""

from gcp_mm.engine.activate import activate as _activate
from gcp_mm.version import __version__

_activate()

__all__ = ["__version__"]
