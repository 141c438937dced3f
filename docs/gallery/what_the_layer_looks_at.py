r"""
What the layer looks at
=======================

Two small networks with the same trunk recognise handwritten digits: one averages its last map
(GAP), one pools its covariance (GCP). Which positions of the map speak for the answer?

The class score is followed back to the map that is pooled. With :math:`A_{cp}` the activation of
channel :math:`c` at position :math:`p` and :math:`s` the score of the predicted class, a position
contributes

.. math::

    m_p = \sum_c \frac{\partial s}{\partial A_{cp}} A_{cp}

This is HiResCAM (Draelos and Carin, 2020). It asks nothing of the pooling but a gradient, which the
layer has.
"""

import matplotlib.pyplot as plt
import torch
from small_networks import as_input, digits, split, trained

from gcp_mm.ops import global_covariance_pool

images, labels = digits()
_, held_out = split()
images, labels = images[held_out], labels[held_out]
networks = {pooling: trained(pooling) for pooling in ("GAP", "GCP")}
for pooling, network in networks.items():
    with torch.no_grad():
        error = (network(as_input(images)).argmax(1) != labels).float().mean()
    print(f"{pooling}: error {error:.1%} on {len(labels)} digits that were held out")

# %%
# The map in front of the pooling
# -------------------------------
#
# For GAP it is the last map of the trunk, for GCP what its convolution makes of that: 16 channels
# at 8 x 8 positions in both networks.


def attribution(network, images):
    """Return the maps (N, 8, 8), the gradients (N, C, 8, 8), and the scores less their biases."""
    with torch.no_grad():
        features = network.backbone(as_input(images))[-1]
        is_gcp = hasattr(network.neck, "reduce")
        if is_gcp:
            features = network.neck.reduce(features)
    features.requires_grad_()
    pooled = global_covariance_pool(features) if is_gcp else features.mean(dim=(2, 3))
    scores, predicted = network.head.fc(pooled).max(dim=1)
    (gradients,) = torch.autograd.grad(scores.sum(), features)
    maps = (gradients * features).sum(dim=1)
    return maps.detach(), gradients, (scores - network.head.fc.bias[predicted]).detach()


found = {pooling: attribution(network, images) for pooling, network in networks.items()}

# %%
# Nothing is lost on the way
# --------------------------
#
# For GAP the score is linear in the map, so that the contributions add up to the score less the
# bias. For GCP it is not linear, but the pooled vector grows in proportion to the map,
# :math:`v(aA) = a\,v(A)`, and by Euler's theorem the same sum holds:
#
# .. math:: \sum_p m_p = s - b
#
# What differs is the gradient. GAP's is the same at every position, so that a position speaks for
# itself alone. GCP's depends on the position, and through the covariance on all the others.

for pooling, (maps, gradients, scores) in found.items():
    sums = maps.sum(dim=(1, 2))
    torch.testing.assert_close(sums, scores, rtol=1e-3, atol=1e-3)
    print(
        f"{pooling}: the map of the first digit sums to {sums[0]:.3f}, its score is {scores[0]:.3f}"
    )
    varies = gradients.std(dim=(2, 3)).norm() / gradients.square().mean(dim=(2, 3)).sqrt().norm()
    print(f"     over the positions its gradient varies by {varies:.0%}")

# %%
# Five digits
# -----------
#
# Purple speaks for the predicted class, orange against it, white is silent. The line is the outline
# of the digit. Each map has a scale of its own.

figure, axes = plt.subplots(3, 5, figsize=(5, 3.4), layout="constrained")
for column, digit in enumerate((0, 2, 4, 5, 9)):
    index = int((labels == digit).nonzero()[0])
    ink = images[index, :, :, 0]
    axes[0, column].imshow(ink, cmap="gray_r", extent=(0, 8, 8, 0))
    for axis, (maps, *_) in zip(axes[1:, column], found.values(), strict=True):
        limit = maps[index].abs().max()
        axis.imshow(maps[index], cmap="PuOr", vmin=-limit, vmax=limit, extent=(0, 8, 8, 0))
        axis.contour(ink, levels=[128], colors="black", linewidths=0.8, extent=(0, 8, 0, 8))
for axis, name in zip(axes[:, 0], ("digit", *found), strict=True):
    axis.set_ylabel(name, fontsize=12)
for axis in axes.flat:
    axis.set(xticks=[], yticks=[])
figure.set_label(
    "Five digits, and below each the positions that speak for its class: with GAP a broad patch "
    "over and around the strokes, with GCP a few positions"
)
plt.show()

# %%
# How many positions does it take?
# --------------------------------
#
# The eye is drawn to what it looks for, so two numbers for all digits: how many of the 64
# positions, the strongest first, hold half of what is contributed (by its magnitude), and how much
# of that lies on ink, beside the share of ink in the picture.

ink = torch.nn.functional.avg_pool2d(images[..., 0].float() / 255, 4)
print(f"{ink.mean():.0%} of the picture is ink")
for pooling, (maps, *_) in found.items():
    shares = maps.abs() / maps.abs().sum(dim=(1, 2), keepdim=True)
    strongest = shares.flatten(1).sort(dim=1, descending=True).values.cumsum(dim=1)
    needed = (strongest < 0.5).sum(dim=1) + 1
    print(
        f"{pooling}: half of it comes from {needed.median()} positions (median of {len(maps)} "
        f"digits), {(shares * ink).sum(dim=(1, 2)).mean():.0%} from ink"
    )

# %%
# Here the answer of the covariance rests on fewer positions than that of the mean. Two small
# networks of one seed, on digits of 8 x 8 pixels, prove nothing about others; for networks that you
# have trained the same lines draw the same figure. What holds for all is the sum, which makes the
# map a complete account of the score, with either pooling.
