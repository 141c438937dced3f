"""Smoothness of the loss and predictiveness of the gradient.

To read in this order: ``settings`` (where and how far to step), ``frozen`` and ``split`` (what
keeps a training undisturbed), ``probe`` (the measurement), ``hook`` and ``offline`` (in a training,
and of its checkpoints), ``records`` and ``bands`` (what a run gives), ``loss``, ``surface`` and
``curvature`` (of one checkpoint), ``plot`` and ``page`` (their figures), ``report`` (of files). It
imports what is below it, the engine included.
"""

from gcp_mm.landscape.frozen import frozen
from gcp_mm.landscape.probe import LandscapeProbe, measure, probe
from gcp_mm.landscape.settings import Settings, resolve

__all__ = ["LandscapeProbe", "Settings", "frozen", "measure", "probe", "resolve"]
