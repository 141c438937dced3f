"""Checkpoints of the original code and of torchvision, as mmpretrain checkpoints and back."""

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
