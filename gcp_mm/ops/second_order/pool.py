r"""Second-order pooling: a matrix of the features, a function of it, its vector.

.. math:: v = \operatorname{vec}\bigl(f(\operatorname{rep}(X))\bigr)

:func:`gcp_mm.ops.global_covariance_pool` is the member (covariance, five Newton-Schulz steps, upper
triangle), and computes every combination here that is one of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from gcp_mm.ops.layer import global_covariance_pool
from gcp_mm.ops.precision import autocast_disabled, check_floating_point, to_compute_dtype
from gcp_mm.ops.second_order.channel_dropout import AdaptiveChannelDropout
from gcp_mm.ops.second_order.methods import METHODS
from gcp_mm.ops.second_order.normalizations import NewtonSchulz
from gcp_mm.ops.second_order.parts import (
    Normalization,
    Representation,
    Spec,
    Vectorization,
    VectorNormalization,
    build_part,
    build_parts,
    check_count,
)
from gcp_mm.ops.second_order.representations import Covariance
from gcp_mm.ops.second_order.vectorizations import Full, Triangle

# By layout: the shapes in words, and their numbers of dimensions.
LAYOUTS = {
    "channels_first": ("(B, C, N), (B, C, H, W) or (B, C, T, H, W)", (3, 4, 5)),
    "frames": ("(B, T, C, H, W)", (5,)),
    "tokens": ("(B, L, C)", (3,)),
}


def _check_layout(layout: str, num_extra_tokens: int) -> None:
    """Raise a ValueError unless the layout exists and has the tokens that are left out."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(map(repr, LAYOUTS))}, got {layout!r}")
    if num_extra_tokens < 0 or (num_extra_tokens and layout != "tokens"):
        raise ValueError(
            f"num_extra_tokens is a number >= 0 of layout 'tokens', got {num_extra_tokens!r} with "
            f"layout {layout!r}"
        )


def positions_last(x: Tensor, layout: str = "channels_first", num_extra_tokens: int = 0) -> Tensor:
    """Make features (B, C, N), of which the second-order matrices see no order of the N positions.

    Args:
        x: Features.
        layout: 'channels_first' for (B, C, N), (B, C, H, W) or (B, C, T, H, W); 'frames' for
            (B, T, C, H, W), whose frames are pooled together; 'tokens' for (B, L, C).
        num_extra_tokens: Tokens at the front that belong to no position (the class token) and are
            left out. Defaults to 0.

    Returns:
        Features (B, C, N).

    Raises:
        ValueError: If shape and layout do not fit, no position or channel is left, or tokens are
            to be left out of what has none.
    """
    _check_layout(layout, num_extra_tokens)
    expected, dims = LAYOUTS[layout]
    check_floating_point(x, "x")
    if x.dim() not in dims:
        raise ValueError(
            f"features of layout {layout!r} have the shape {expected}, got {tuple(x.shape)}"
        )
    if layout == "frames":
        features = x.transpose(1, 2).flatten(2)
    elif layout == "tokens":
        features = x[:, num_extra_tokens:].mT
    else:
        features = x.flatten(2)
    if 0 in features.shape[1:]:
        left_out = f" less {num_extra_tokens} extra tokens" if num_extra_tokens else ""
        raise ValueError(
            f"second-order pooling needs at least one channel and one position, got "
            f"{tuple(x.shape)}{left_out}"
        )
    return features


class SecondOrderPool(nn.Module):
    """Second-order pooling as a module, from parts given by name, as dict or as modules.

    Args:
        channels: Channels C of the features.
        representation: 'covariance', 'second_moment' or 'gaussian'.
        normalization: One, or several in order: 'none', 'newton_schulz', 'matrix_power',
            'matrix_log', 'signed_power', 'scaled', 'svpn', 'pade', 'taylor'.
        vectorization: 'triangle', 'full' or 'count_sketch'.
        vector_normalization: None, one or several in order: 'signed_power', 'l2'.
        channel_dropout: Whether :class:`AdaptiveChannelDropout` stands before it in training.
        layout: See :func:`positions_last`.
        num_extra_tokens: See :func:`positions_last`.

    Raises:
        ValueError: If a part has no such name or argument, or an argument no meaning.

    Example:
        >>> import torch
        >>> pool = SecondOrderPool(64, normalization=dict(type="matrix_power", alpha=0.5))
        >>> pool(torch.rand(2, 64, 7, 7)).shape
        torch.Size([2, 2080])
    """

    def __init__(
        self,
        channels: int,
        representation: Spec = "covariance",
        normalization: Spec | Sequence[Spec] = "newton_schulz",
        vectorization: Spec = "triangle",
        vector_normalization: Spec | Sequence[Spec] | None = None,
        channel_dropout: bool = False,
        layout: str = "channels_first",
        num_extra_tokens: int = 0,
    ) -> None:
        super().__init__()
        _check_layout(layout, num_extra_tokens)
        self.channels = channels = check_count("channels", channels)
        self.layout = layout
        self.num_extra_tokens = num_extra_tokens
        self.channel_dropout = AdaptiveChannelDropout(channels) if channel_dropout else None
        self.representation = build_part(Representation, representation)
        size = self.representation.size(channels)
        self.normalization = nn.Sequential(*build_parts(Normalization, normalization, size))
        self.vectorization = build_part(Vectorization, vectorization, size)
        self.vector_normalization = nn.Sequential(
            *build_parts(VectorNormalization, vector_normalization)
        )

    @classmethod
    def of_method(cls, method: str, channels: int, **settings: object) -> SecondOrderPool:
        """Build a published method of :data:`METHODS`, some of whose parts may be replaced."""
        if not isinstance(method, str) or method not in METHODS:
            choices = ", ".join(map(repr, METHODS))
            raise ValueError(f"unknown method {method!r}; choose one of {choices}")
        return cls(channels, **{**METHODS[method], **settings})

    @property
    def out_channels(self) -> int:
        """Length of the vectors."""
        return self.vectorization.length(self.representation.size(self.channels))

    def forward(self, x: Tensor) -> Tensor:
        """Pool features; half precision is computed in float32.

        Args:
            x: Features, in the shape that ``layout`` says, any floating-point dtype.

        Returns:
            Vectors of shape (B, out_channels) in the dtype of ``x``.

        Raises:
            ValueError: If shape or dtype do not fit.
        """
        features = positions_last(x, self.layout, self.num_extra_tokens)
        if features.shape[1] != self.channels:
            raise ValueError(
                f"SecondOrderPool(channels={self.channels}) got features of shape "
                f"{tuple(x.shape)}, layout {self.layout!r}"
            )
        if self.channel_dropout is not None and self.channel_dropout.training:
            # In float32 from here on: reweighting is about the last bit of half precision.
            features = self.channel_dropout(to_compute_dtype(features, "x"))
        vector = _pool(
            features,
            self.representation,
            [cast(Normalization, part) for part in self.normalization],
            self.vectorization,
            [cast(VectorNormalization, part) for part in self.vector_normalization],
        )
        return vector.to(x.dtype)


def second_order_pool(
    x: Tensor,
    representation: Spec = "covariance",
    normalization: Spec | Sequence[Spec] = "newton_schulz",
    vectorization: Spec = "triangle",
    vector_normalization: Spec | Sequence[Spec] | None = None,
) -> Tensor:
    """Pool features (B, C, H, W) or (B, C, N); see :class:`SecondOrderPool`.

    Parts with weights or tables ('svpn', 'count_sketch') are given as modules: as names they would
    be drawn anew with each call.

    Returns:
        Vectors (B, K) in the dtype of ``x``.

    Raises:
        ValueError: If shape, dtype, the name of a part or an argument of it does not fit.
    """
    return _pool(
        positions_last(x),
        build_part(Representation, representation),
        build_parts(Normalization, normalization),
        build_part(Vectorization, vectorization),
        build_parts(VectorNormalization, vector_normalization),
    )


def _pool(
    features: Tensor,
    representation: Representation,
    normalization: Sequence[Normalization],
    vectorization: Vectorization,
    vector_normalization: Sequence[VectorNormalization],
) -> Tensor:
    """Pool features (B, C, N), by the layer itself where the parts are its own."""
    with autocast_disabled(features.device):
        if (
            type(representation) is Covariance
            and len(normalization) == 1
            and type(normalization[0]) is NewtonSchulz
            and isinstance(vectorization, (Triangle, Full))
        ):
            # A vector that goes on being computed with is not rounded to half precision first.
            x = to_compute_dtype(features, "x") if vector_normalization else features
            vector = global_covariance_pool(x, normalization[0].num_iters)
            vector = vectorization.from_upper_rows(vector, features.shape[1])
        else:
            factor = representation(to_compute_dtype(features, "x"))
            first, *others = normalization
            matrix = first.of_factor(factor)
            for part in others:
                matrix = part(matrix)
            vector = vectorization(matrix)
        for last in vector_normalization:
            vector = last(vector)
    return vector.to(features.dtype)
