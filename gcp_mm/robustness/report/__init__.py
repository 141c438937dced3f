"""Tables, CSV and figures of evaluations, for one or several networks."""

from gcp_mm.robustness.report.models import read_models
from gcp_mm.robustness.report.write import write_report

__all__ = ["read_models", "write_report"]
