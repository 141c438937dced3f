"""Networks with global covariance pooling, registered in the scope ``gcp_mm``.

mmpretrain and mmdet are both optional: what cannot be imported is left out with a warning that
says why, so that classification works where mmdet, or mmcv's compiled ops, are missing.
"""

import importlib
import logging

from mmengine.logging import print_log

for _module in ("classification", "detection"):
    try:
        importlib.import_module(f"gcp_mm.models.{_module}")
    # mmdet asserts its version windows instead of raising ImportError.
    except (ImportError, AssertionError) as _error:
        print_log(
            f"gcp_mm.models.{_module} is not available: {_error}. "
            "`python -m gcp_mm.doctor` lists what to install",
            logger="current",
            level=logging.WARNING,
        )
