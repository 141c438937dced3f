"""Global covariance pooling for OpenMMLab, and for any other PyTorch network.

``gcp_mm.ops`` needs PyTorch alone. Everything that touches OpenMMLab starts at
``gcp_mm.registry``, which mmengine imports by itself when a config names a ``gcp_mm.X`` type.
"""

import sys

from gcp_mm.version import __version__

# `custom_imports=dict(imports=['gcp_mm'])` has to install the checkpoint loader; `import
# gcp_mm.ops` in a script that uses no OpenMMLab package must not pull one in.
if "mmengine" in sys.modules:
    from gcp_mm.engine.activate import activate as _activate

    _activate()

__all__ = ["__version__"]
