"""Neck that replaces global average pooling by global covariance pooling, or one of its family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from gcp_mm.errors import UserError
from gcp_mm.ops.dispatch import check_impl
from gcp_mm.ops.layer import global_covariance_pool
from gcp_mm.ops.newton_schulz import check_num_iters
from gcp_mm.ops.second_order.pool import SecondOrderPool
from gcp_mm.ops.triu_vec import triangle_size
from gcp_mm.registry import MODELS


@MODELS.register_module()
class GlobalCovariancePooling(BaseModule):
    r"""Reduce the channels, then pool the covariance of the features.

    .. math::

        v = \operatorname{triu}(\operatorname{sqrt}_n(\operatorname{cov}(
            \operatorname{act}(\operatorname{BN}(W x)))))

    Paper: "What Deep CNNs Benefit from Global Covariance Pooling: An Optimization Perspective",
    arXiv 2003.11241. See :func:`gcp_mm.ops.global_covariance_pool` for the layer itself.

    With ``method`` or one of the parts named it is another second-order pooling, see
    :class:`gcp_mm.ops.SecondOrderPool`.

    Args:
        in_channels: Channels of the backbone's last map.
        reduced_channels: Channels d after the 1 x 1 convolution without bias. The output has
            d (d + 1) / 2 numbers, 32896 for the default 256; the head's ``in_channels`` has to
            be that number. None for no convolution.
        num_iters: Number of Newton-Schulz steps. Defaults to 5, as in every published model.
        impl: Implementation of the layer. Defaults to 'auto'.
        norm_cfg: Normalisation behind the convolution. Defaults to batch norm.
        act_cfg: Activation; ReLU for ResNet, ReLU6 for MobileNetV2 and ShuffleNetV2.
        num_extra_tokens: Tokens at the front that belong to no position (class token,
            distillation token) and are left out. Defaults to 0; a map has none.
        method: Name of a published pooling: 'isqrt_cov', 'dropcov', 'mpn_cov', 'bcnn', 'g2denet',
            'cbp' or 'svpn'. Defaults to 'isqrt_cov'.
        representation: Part in place of the method's: a name, or a dict with it as ``type``.
        normalization: The same, or a list of them.
        vectorization: The same as for ``representation``.
        vector_normalization: The same as for ``normalization``.
        channel_dropout: Whether channels are dropped adaptively in training, in place of the
            method's.
        init_cfg: Initialisation; by default normal fan-out for the convolution, 1 and 0 for the
            normalisation, as in the original ResNets.
    """

    def __init__(
        self,
        in_channels: int,
        reduced_channels: int | None = 256,
        num_iters: int = 5,
        impl: str = "auto",
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        num_extra_tokens: int = 0,
        method: str | None = None,
        representation: str | Mapping | None = None,
        normalization: str | Mapping | Sequence[str | Mapping] | None = None,
        vectorization: str | Mapping | None = None,
        vector_normalization: str | Mapping | Sequence[str | Mapping] | None = None,
        channel_dropout: bool | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = [
                dict(type="Kaiming", layer="Conv2d", mode="fan_out", nonlinearity="relu"),
                dict(type="Constant", val=1, bias=0, layer=["_BatchNorm", "GroupNorm"]),
            ]
        super().__init__(init_cfg)
        try:
            check_num_iters(num_iters)
            check_impl(impl)
        except ValueError as error:
            raise UserError(f"neck GlobalCovariancePooling: {error}") from None
        if num_extra_tokens < 0:
            raise UserError(
                f"neck GlobalCovariancePooling: num_extra_tokens={num_extra_tokens} is no number "
                "of tokens at the front; set 0 or more"
            )
        self.in_channels = in_channels
        self.reduced_channels = in_channels if reduced_channels is None else reduced_channels
        self.num_iters = num_iters
        self.impl = impl
        self.num_extra_tokens = num_extra_tokens
        self.reduce: nn.Module = nn.Identity()
        if reduced_channels is None and (norm_cfg or act_cfg):
            raise UserError(
                "neck GlobalCovariancePooling: norm_cfg and act_cfg are of the convolution that "
                "reduced_channels=None leaves out; leave them out as well"
            )
        if reduced_channels is not None:
            reduce = ConvModule(
                in_channels,
                reduced_channels,
                kernel_size=1,
                bias=False,
                norm_cfg=norm_cfg or dict(type="BN"),
                act_cfg=act_cfg or dict(type="ReLU"),
            )
            # Or ConvModule would draw its weights again after `init_cfg` has been applied.
            reduce.is_init = True
            self.reduce = reduce
        parts = dict(
            representation=representation,
            normalization=normalization,
            vectorization=vectorization,
            vector_normalization=vector_normalization,
            channel_dropout=channel_dropout,
        )
        parts = {name: part for name, part in parts.items() if part is not None}
        # Without parts, isqrt_cov is the layer itself.
        other = parts or method not in (None, "isqrt_cov")
        self.pool = self._pool_of(method, parts) if other else None

    def _pool_of(self, method: str | None, parts: dict) -> SecondOrderPool:
        """Build another pooling than the layer itself; its steps are those of the neck."""
        if self.impl != "auto":
            raise UserError(
                f"neck GlobalCovariancePooling: impl={self.impl!r} chooses among implementations "
                f"of the layer without other parts; leave it out beside {_named(method, parts)}"
            )
        if method in (None, "isqrt_cov") and "normalization" not in parts:
            parts["normalization"] = dict(type="newton_schulz", num_iters=self.num_iters)
        elif self.num_iters != 5:
            raise UserError(
                f"neck GlobalCovariancePooling: num_iters={self.num_iters} has no effect beside "
                f"{_named(method, parts)}; Newton-Schulz steps of a number are "
                f"normalization=dict(type='newton_schulz', num_iters={self.num_iters})"
            )
        try:
            return SecondOrderPool.of_method(method or "isqrt_cov", self.reduced_channels, **parts)
        except ValueError as error:
            raise UserError(f"neck GlobalCovariancePooling: {error}") from None

    @property
    def out_channels(self) -> int:
        """Length of the pooled vector, d (d + 1) / 2 for a triangle."""
        if self.pool is not None:
            return self.pool.out_channels
        return triangle_size(self.reduced_channels)

    def forward(self, inputs: Tensor | Sequence[Tensor]) -> tuple[Tensor]:
        """Pool the last feature map or the last tokens.

        Args:
            inputs: A map of shape (B, in_channels, H, W), tokens of shape (B, L, in_channels), or
                a backbone's sequence of them, of which the last is used.

        Returns:
            A tuple with one tensor of shape (B, out_channels).

        Raises:
            UserError: If there is one vector per image, or another number of dimensions or
                channels, or no position, or the last stage gives several features; names the
                shapes and what to set.
        """
        x = inputs if isinstance(inputs, Tensor) else inputs[-1]
        if not isinstance(x, Tensor):
            raise UserError(
                f"GlobalCovariancePooling got {len(x)} features of the last stage, not one map: "
                "let the backbone give one (backbone.out_type='featmap' for "
                "DistilledVisionTransformer), or take another backbone"
            )
        if x.dim() == 3:
            x = self._tokens_to_map(x)
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            self._refuse(x)
        reduced = self.reduce(x)
        if self.pool is not None:
            return (self.pool(reduced),)
        return (global_covariance_pool(reduced, self.num_iters, self.impl),)

    def _tokens_to_map(self, tokens: Tensor) -> Tensor:
        """Make tokens (B, L, C) a map (B, C, L, 1): the covariance knows no order of positions."""
        if tokens.shape[2] != self.in_channels or tokens.shape[1] <= self.num_extra_tokens:
            self._refuse(tokens)
        return tokens[:, self.num_extra_tokens :].transpose(1, 2).unsqueeze(-1)

    def _refuse(self, x: Tensor) -> NoReturn:
        """Raise the error that names both shapes and the cure."""
        channels = self.in_channels
        if x.dim() == 2:
            cure = (
                "the backbone has pooled already; let it give all positions "
                "(backbone.gap_before_final_norm=False for ConvNeXt, backbone.out_type='featmap' "
                "for VisionTransformer)"
            )
        elif x.dim() == 3 and x.shape[2] == channels:
            cure = f"num_extra_tokens={self.num_extra_tokens} of them leave no position to pool"
        elif x.dim() == 3 and x.shape[1] == channels:
            cure = "transpose the tokens, positions come before channels"
        else:
            cure = "set neck.in_channels to the channels of the backbone's last stage"
        raise UserError(
            f"GlobalCovariancePooling(in_channels={channels}) got features of shape "
            f"{tuple(x.shape)}, expected (B, {channels}, H, W) or (B, L, {channels}); {cure}"
        )

    def extra_repr(self) -> str:
        """Show the widths, for example ``2048 -> 256 -> 32896, num_iters=5, impl=auto``."""
        widths = f"{self.in_channels} -> {self.reduced_channels} -> {self.out_channels}"
        if self.pool is not None:
            return widths
        return f"{widths}, num_iters={self.num_iters}, impl={self.impl}"


def _named(method: str | None, parts: Mapping[str, object]) -> str:
    """Name the arguments that ask for another pooling."""
    given = {"method": method, **parts} if method else parts
    return ", ".join(f"{name}={value!r}" for name, value in given.items())
