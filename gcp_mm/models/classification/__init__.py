"""Parts of mmpretrain classifiers: backbones and the pooling neck."""

from gcp_mm.models.classification.gcp_resnet import GCPResNet
from gcp_mm.models.classification.global_covariance_pooling import GlobalCovariancePooling

__all__ = ["GCPResNet", "GlobalCovariancePooling"]
