"""Global covariance pooling in plain PyTorch.

Nothing in this package imports an OpenMMLab package, so the layer can be used in any network::

    from gcp_mm.ops import global_covariance_pool

    features = backbone(images)                 # (B, 256, 14, 14)
    vectors = global_covariance_pool(features)  # (B, 32896)
    logits = classifier(vectors)                # nn.Linear(32896, num_classes)
"""

from gcp_mm.ops.covariance_pool import covariance_pool
from gcp_mm.ops.dispatch import explain
from gcp_mm.ops.layer import GlobalCovariancePool, global_covariance_pool
from gcp_mm.ops.newton_schulz import newton_schulz_sqrt
from gcp_mm.ops.second_order.channel_dropout import AdaptiveChannelDropout
from gcp_mm.ops.second_order.methods import METHODS
from gcp_mm.ops.second_order.pool import SecondOrderPool, positions_last, second_order_pool
from gcp_mm.ops.triu_vec import triu_vec

__all__ = [
    "METHODS",
    "AdaptiveChannelDropout",
    "GlobalCovariancePool",
    "SecondOrderPool",
    "covariance_pool",
    "explain",
    "global_covariance_pool",
    "newton_schulz_sqrt",
    "positions_last",
    "second_order_pool",
    "triu_vec",
]
