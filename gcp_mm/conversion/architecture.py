"""What a checkpoint's names and shapes say about its network."""

from __future__ import annotations

from dataclasses import dataclass

# Settings of the learning rate with published weights, by number of channels before the
# covariance (None is average pooling), and the networks that have them at that width.
_SETTINGS = {
    None: ("lrnorm", "lrfast", "lradju"),
    256: ("lrnorm", "lrfast", "lradju"),
    128: ("lrnorm", "lradju"),
}
_PUBLISHED = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "mobilenet_v2": "mobilenetv2",
    "shufflenet_v2_x1_0": "shufflenetv2",
}
_NARROW = ("resnet50", "mobilenet_v2")


@dataclass(frozen=True)
class Architecture:
    """A classifier, as far as its weights determine it.

    The learning-rate setting and the order of the triangle are not in the weights.

    Attributes:
        network: The trunk, under its name in ``torchvision.models``, for example ``'resnet50'``.
        num_classes: Number of classes.
        reduced_channels: Channels d before the covariance; None for average pooling.
    """

    network: str
    num_classes: int
    reduced_channels: int | None = None

    @property
    def covariance(self) -> bool:
        """Whether the network has covariance pooling."""
        return self.reduced_channels is not None

    @property
    def vector_length(self) -> int:
        """Length d (d + 1) / 2 of the pooled covariance; 0 with average pooling."""
        width = self.reduced_channels or 0
        return width * (width + 1) // 2

    @property
    def rows(self) -> tuple[str, ...]:
        """Published rows of this architecture, such as ``resnet50_gcp_lrnorm_128``; may be empty.

        Source: the results of https://github.com/ZhangLi-CS/GCP_Optimization.
        """
        width = self.reduced_channels
        published = self.network in _PUBLISHED and width in _SETTINGS and self.num_classes == 1000
        if not published or (width == 128 and self.network not in _NARROW):
            return ()
        stem = f"{_PUBLISHED[self.network]}_{'gcp' if self.covariance else 'gap'}"
        suffix = "_128" if width == 128 else ""
        return tuple(f"{stem}_{setting}{suffix}" for setting in _SETTINGS[width])

    def __str__(self) -> str:
        """Describe it in words."""
        if self.covariance:
            pooling = f"covariance pooling of {self.reduced_channels} channels"
        else:
            pooling = "average pooling"
        return f"{self.network} with {pooling}, {self.num_classes} classes"
