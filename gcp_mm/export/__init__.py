"""A trained classifier as a file that runs without this package.

Three formats: ONNX, torch.export (.pt2) and a TorchScript trace. Each is read back from its file
and compared with the PyTorch network before it gets its final name.

To read in this order: ``export_classifier``, ``formats`` and its three modules, ``numeric_check``.
It imports the ground floor, console, images, checkpoints and engine.
"""

from gcp_mm.export.export_classifier import export_classifier
from gcp_mm.export.formats import FORMATS, format_of

__all__ = ["FORMATS", "export_classifier", "format_of"]
