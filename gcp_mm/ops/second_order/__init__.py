"""Second-order poolings from parts: a matrix of the features, a function of it, its vector.

Read `pool` first, then `parts` and the three kinds of parts: `representations`, `normalizations`
with `spectral`, `approximate_roots` and `singular_values`, `vectorizations`. `channel_dropout`
stands before a layer in training, `methods` names the published combinations. PyTorch alone is
needed.
"""

from gcp_mm.ops.second_order.approximate_roots import PadeRoot, TaylorRoot
from gcp_mm.ops.second_order.normalizations import (
    MatrixLogarithm,
    MatrixPower,
    NewtonSchulz,
    Scaled,
    SignedPower,
    SignedPowerOfVector,
    Unchanged,
)
from gcp_mm.ops.second_order.representations import Covariance, Gaussian, SecondMoment
from gcp_mm.ops.second_order.singular_values import SingularValuePower
from gcp_mm.ops.second_order.vectorizations import L2, CountSketch, Full, Triangle

__all__ = [
    "L2",
    "CountSketch",
    "Covariance",
    "Full",
    "Gaussian",
    "MatrixLogarithm",
    "MatrixPower",
    "NewtonSchulz",
    "PadeRoot",
    "Scaled",
    "SecondMoment",
    "SignedPower",
    "SignedPowerOfVector",
    "SingularValuePower",
    "TaylorRoot",
    "Triangle",
    "Unchanged",
]
