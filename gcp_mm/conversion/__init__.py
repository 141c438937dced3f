"""Checkpoints of the original code and of torchvision, as mmpretrain checkpoints and back.

To read in this order: ``name_rules`` and a table of ``families``, ``layout`` (what is around the
weights), ``recognise``, ``convert`` (in memory), ``convert_file`` and ``weights_only`` (of files),
``verify``. It imports the ground floor, console, ops, images, checkpoints and zoo.
"""

from gcp_mm.conversion.conversion import Architecture, Conversion
from gcp_mm.conversion.convert import convert, restore
from gcp_mm.conversion.convert_file import Report, convert_file, restore_file
from gcp_mm.conversion.recognise import model_config, recognise
from gcp_mm.conversion.weights_only import extract_weights

__all__ = [
    "Architecture",
    "Conversion",
    "Report",
    "convert",
    "convert_file",
    "extract_weights",
    "model_config",
    "recognise",
    "restore",
    "restore_file",
]
