"""Networks with global covariance pooling, registered in the scope ``gcp_mm``.

mmpretrain and mmdet are both optional: what cannot be imported is left out with a warning that
says why, so that classification works where mmdet, or mmcv's compiled ops, are missing.
"""

from gcp_mm.registry import import_available

for _module in ("classification", "detection"):
    import_available([f"gcp_mm.models.{_module}"])
