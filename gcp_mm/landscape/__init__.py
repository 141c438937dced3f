"""Smoothness of the loss and predictiveness of the gradient."""

from gcp_mm.landscape.frozen import frozen
from gcp_mm.landscape.measurement import LandscapeProbe
from gcp_mm.landscape.probe import measure, probe
from gcp_mm.landscape.settings import Settings, resolve

__all__ = ["LandscapeProbe", "Settings", "frozen", "measure", "probe", "resolve"]
