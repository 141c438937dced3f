"""Learning-rate schedules that mmengine cannot express."""

from gcp_mm.engine.schedulers.poly_to_end_lr import PolyToEndLR

__all__ = ["PolyToEndLR"]
