"""What mmcv's operators are computed with where mmcv has none compiled: torchvision's.

``finder`` answers ``import mmcv._ext`` with ``operators``. Neither imports anything of ``gcp_mm``:
an installation copies the finder beside the package, where every Python process starts it.
"""
