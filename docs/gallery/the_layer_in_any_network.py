r"""
The layer in any network
========================

What the layer does to the features of trunks of torchvision and timm: which shapes go in and come
out, what the square root does to the spectrum, and what autocast changes. The networks have random
weights: everything here is a property of the layer, nothing of a training.

Everything is pooled from 64 positions, of images of 128 x 128. How such networks are built and
trained: :doc:`/layer_anywhere`.
"""

import matplotlib.pyplot as plt
import timm
import torch
import torchvision
from small_networks import as_input, digits
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from gcp_mm.ops import GlobalCovariancePool, covariance_pool, newton_schulz_sqrt

torch.manual_seed(0)
images = as_input(digits(128)[0][:4])

# %%
# Three trunks, one layer
# -----------------------
#
# A convolutional network gives a map (B, C, H, W), a transformer tokens (B, L, C): without the
# class token, and transposed, they are (B, C, N). The 1 x 1 convolution in front keeps the vector
# of :math:`C (C + 1) / 2` numbers short.

vit = torchvision.models.VisionTransformer(
    image_size=128, patch_size=16, num_layers=2, num_heads=4, hidden_dim=96, mlp_dim=192
)
shufflenet = torchvision.models.shufflenet_v2_x0_5(weights=None)
convnext = timm.create_model("convnext_atto", features_only=True, out_indices=(2,))
last_map = create_feature_extractor(shufflenet.eval(), {"stage3": "features"})
last_tokens = create_feature_extractor(vit.eval(), {"encoder.ln": "features"})
trunks = {
    "torchvision\nShuffleNetV2": lambda images: last_map(images)["features"],
    "timm\nConvNeXt": lambda images: convnext(images)[0],
    "torchvision\nViT": lambda images: last_tokens(images)["features"][:, 1:].mT,
}
pool = GlobalCovariancePool()
pooled_from = {}
for name, trunk in trunks.items():
    with torch.no_grad():
        found = trunk(images)
        reduce = (nn.Conv1d if found.dim() == 3 else nn.Conv2d)(found.shape[1], 32, 1, bias=False)
        features = pooled_from[name] = reduce(found)
    vectors = pool(features)
    assert vectors.isfinite().all() and vectors.shape[1] == 32 * 33 // 2
    shapes = (tuple(tensor.shape) for tensor in (found, features, vectors))
    print(name.replace("\n", " "), *shapes, sep="\n    ")

# %%
# Where a position lies is nothing to the covariance, so a map is its tokens:

a_map = pooled_from["timm\nConvNeXt"]
torch.testing.assert_close(pool(a_map), pool(a_map.flatten(2)))

# %%
# Before and after the square root
# --------------------------------
#
# A covariance is made of squares, and a few directions hold nearly all of its trace. The layer's
# five Newton-Schulz steps lift the others. How many directions count? With the eigenvalues
# :math:`\lambda_i`, the participation ratio says it in one number, 1 for a single one and 32 for 32
# equal ones:
#
# .. math:: r = \frac{(\sum_i \lambda_i)^2}{\sum_i \lambda_i^2}

figure, axes = plt.subplots(1, 3, figsize=(6, 3.1), sharey=True, layout="constrained")
for axis, (name, features) in zip(axes, pooled_from.items(), strict=True):
    sigma = covariance_pool(features.double())
    before, after = (
        torch.linalg.eigvalsh(matrices).flip(1).clamp_min(0)
        for matrices in (sigma, newton_schulz_sqrt(sigma, 5))
    )
    ratios = []
    for values, colour, label in (
        (before, "#d55e00", "covariance"),
        (after, "#0072b2", "its root"),
    ):
        shown = (values / values[:, :1]).median(dim=0).values
        axis.semilogy(range(1, 33), shown, color=colour, label=label, linewidth=2)
        ratios.append((values.sum(dim=1) ** 2 / values.square().sum(dim=1)).mean())
    print(f"{name.split()[1]}: participation ratio {ratios[0]:.1f} before, {ratios[1]:.1f} after")
    axis.set(title=name, ylim=(1e-6, 2), xlabel="eigenvalue")
    axis.grid(alpha=0.3)
axes[0].set_ylabel("relative to the largest")
axes[0].legend(frameon=False, loc="lower left")
figure.set_label(
    "Eigenvalues of three networks' covariances fall over decades; after the square root they fall "
    "more slowly, in each of the three panels"
)
plt.show()

# %%
# In half precision
# -----------------
#
# Inside of autocast the convolutions are bfloat16, with 8 bits for a number's digits; the layer
# computes the covariance and its root in float32 and rounds once, at the end. So its answer is that
# of float64 for the features as they were rounded, to the last bit or the one before:

for name, features in pooled_from.items():
    rounded = features.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        inside = pool(rounded)
    torch.testing.assert_close(inside, pool(rounded.double()).bfloat16(), rtol=2**-7, atol=1e-6)
    exact = pool(features.double())
    error = (inside.double() - exact).norm() / exact.norm()
    print(f"{name.split()[1]}: {inside.dtype}, off by {error:.2%} of the exact vector")
