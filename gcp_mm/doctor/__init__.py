"""Self-check of the software stack: ``python -m gcp_mm.doctor``.

To read in this order: ``check`` (a row), ``packages``, ``machine`` and ``conflicts`` (the probes),
``stack`` (what is installed), ``report``. Importing it needs the standard library alone, because it
has to explain a stack in which nothing else imports.
"""

from gcp_mm.doctor.check import Check
from gcp_mm.doctor.report import diagnose, format_table, main

__all__ = ["Check", "diagnose", "format_table", "main"]
