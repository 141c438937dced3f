"""Backbones of mmdet detectors that start from GCP classifiers."""

from gcp_mm.models.detection.gcpd_resnet import GCPDResNet
from gcp_mm.models.detection.gcpm_resnet import GCPMResNet

__all__ = ["GCPDResNet", "GCPMResNet"]
