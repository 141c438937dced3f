"""Published second-order poolings, as parts."""

from __future__ import annotations

METHODS: dict[str, dict] = {
    # "Towards Faster Training of Global Covariance Pooling Networks by Iterative Matrix Square Root
    # Normalization", arXiv 1712.01034.
    "isqrt_cov": dict(normalization=dict(type="newton_schulz", num_iters=5)),
    # "DropCov: A Simple yet Effective Method for Improving Deep Architectures", NeurIPS 2022.
    "dropcov": dict(normalization="none", channel_dropout=True),
    # "Is Second-order Information Helpful for Large-scale Visual Recognition?", arXiv 1703.08050;
    # its MatConvNet code reads the triangle column by column.
    "mpn_cov": dict(
        normalization=dict(type="matrix_power", alpha=0.5),
        vectorization=dict(type="triangle", order="lower_rows"),
    ),
    # "Bilinear CNN Models for Fine-grained Visual Recognition", arXiv 1504.07889.
    "bcnn": dict(
        representation="second_moment",
        normalization="signed_power",
        vectorization="full",
        vector_normalization="l2",
    ),
    # "G2DeNet: Global Gaussian Distribution Embedding Network and Its Application to Visual
    # Recognition", CVPR 2017.
    "g2denet": dict(
        representation="gaussian",
        normalization=dict(type="matrix_power", alpha=0.5),
        vectorization="full",
    ),
    # "Compact Bilinear Pooling", arXiv 1511.06062: sums, not means, over the positions.
    "cbp": dict(
        representation=dict(type="second_moment", average=False),
        normalization="none",
        vectorization=dict(type="count_sketch", dim=8192),
        vector_normalization=["signed_power", "l2"],
    ),
    # "SoT: Delving Deeper into Classification Head for Transformer", arXiv 2104.10935, without its
    # projections and heads.
    "svpn": dict(normalization="svpn", vectorization="full"),
}
"""By name: arguments of :class:`gcp_mm.ops.SecondOrderPool` other than the channels."""
