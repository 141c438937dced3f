"""Draws the figures of the pages: ``python docs/make_figures.py [FOLDER]``.

Everything is computed here, by the layer itself; features are those of a photograph of
scikit-learn, which is not shown. The picture of the demo is the one that `make demo` writes.
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gcp_mm.ops import covariance_pool, newton_schulz_sqrt, triu_vec
from gcp_mm.plots.figure import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = Path(__file__).resolve().parent / "figures"
# The demo lies beside this folder, and is no part of the package.
sys.path.append(str(FIGURES.parents[1]))
# The first colours of Okabe and Ito, which people with any colour vision tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#777777"
CORRUPTIONS = ("gaussian_noise", "defocus_blur", "fog", "contrast", "jpeg_compression")


def photograph(side: int) -> np.ndarray:
    """Return the middle of scikit-learn's china.jpg, RGB of (side, side, 3)."""
    from sklearn.datasets import load_sample_image

    image = Image.fromarray(load_sample_image("china.jpg"))
    square = image.crop((100, 0, 527, 427))
    return np.asarray(square.resize((side, side), Image.Resampling.LANCZOS))


def features_of_photograph(channels: int, seed: int = 0) -> Tensor:
    """Return what random filters and a ReLU make of the photograph: (1, channels, 14, 14)."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.from_numpy(photograph(119).copy()).permute(2, 0, 1)[None].double() / 255
    filters = torch.randn(channels, 3, 15, 15, generator=generator, dtype=torch.float64)
    filters -= filters.mean(dim=(2, 3), keepdim=True)
    return torch.nn.functional.conv2d(image, filters, stride=8).relu()


def root_of_eigenvalues(eigenvalues: Tensor, num_iters: int) -> Tensor:
    """Return what the Newton-Schulz steps make of eigenvalues: p_n(l) for l in [0, 1]."""
    # A matrix of trace 1 with one of them; the rest of the trace lies in a second direction.
    matrices = torch.stack([torch.diag(torch.stack([e, 1 - e])) for e in eigenvalues])
    return newton_schulz_sqrt(matrices, num_iters)[:, 0, 0]


def covariance() -> Figure:
    """Draw a feature map, its covariance, the root and the vector."""
    features = features_of_photograph(24)
    matrix = covariance_pool(features)
    root = newton_schulz_sqrt(matrix, 5)
    figure = new_figure(9.5, 2.7)
    axes = figure.subplots(1, 4, width_ratios=[1.3, 1.9, 1.9, 1.9])
    shown = (
        (features[0].flatten(1)[:, :28], "features X\n24 channels"),
        (matrix[0], "covariance C\n24 x 24"),
        (root[0], "square root S\n24 x 24"),
    )
    for axis, (values, title) in zip(axes, shown, strict=False):
        axis.imshow(values, cmap="cividis", aspect="auto")
        axis.set_title(title, fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    axes[3].plot(triu_vec(root)[0], color=BLUE, linewidth=0.7)
    axes[3].set_title("vector v: upper triangle of S\n300 numbers", fontsize=9)
    return figure


def newton_schulz() -> Figure:
    """Draw what n steps make of an eigenvalue, and the factor by which they enlarge it."""
    eigenvalues = torch.logspace(-4, 0, 81, dtype=torch.float64)[:-1]
    figure = new_figure(8, 3.2)
    left, right = figure.subplots(1, 2)
    left.loglog(eigenvalues, eigenvalues.sqrt(), color="black", label="square root")
    right.loglog(eigenvalues, eigenvalues.rsqrt(), color="black", label="square root")
    for steps, colour in ((1, GREY), (3, GREEN), (5, BLUE), (7, ORANGE)):
        roots = root_of_eigenvalues(eigenvalues, steps)
        style = dict(color=colour, label=f"{steps} steps" if steps > 1 else "1 step")
        style["linewidth"] = 2.5 if steps == 5 else 1.2
        left.loglog(eigenvalues, roots, **style)
        right.loglog(eigenvalues, roots / eigenvalues, **style)
    left.set_ylabel("becomes")
    right.set_ylabel("is enlarged by")
    for axis in (left, right):
        axis.set_xlabel("eigenvalue of C / tr C")
        axis.grid(alpha=0.3)
    left.legend(frameon=False, fontsize=8)
    return figure


def gram_form() -> Figure:
    """Draw the cost of a product of the smaller matrix, by the number of positions."""
    figure = new_figure(6.5, 3)
    axis = figure.subplots()
    sides = np.arange(4, 33)
    positions = sides**2
    axis.semilogy(positions, np.minimum(1, (positions / 256) ** 3), color=BLUE, linewidth=2)
    for side in (7, 14, 28):
        number = side**2
        share = min(1, (number / 256) ** 3)
        axis.plot(number, share, "o", color=ORANGE)
        axis.annotate(
            f"{side} x {side}: {share:.2g}",
            (number, share),
            xytext=(6, -14),
            textcoords="offset points",
            fontsize=9,
        )
    axis.axvline(256, color=GREY, linestyle=":")
    axis.text(262, 2e-3, "N = C = 256", color=GREY, fontsize=9)
    axis.set_xlabel("positions N")
    axis.set_ylabel("cost of a product,\nof one of C x C")
    axis.grid(alpha=0.3)
    return figure


def gradient() -> Figure:
    """Draw by how much the gradient is enlarged along a direction, for steps and for the root."""
    eigenvalues = torch.logspace(-4, 0, 81, dtype=torch.float64)[:-1].requires_grad_()
    figure = new_figure(5.5, 3)
    axis = figure.subplots()
    axis.loglog(
        eigenvalues.detach(), eigenvalues.detach().rsqrt() / 2, color="black", label="square root"
    )
    for steps, colour in ((3, GREEN), (5, BLUE), (7, ORANGE)):
        # Of p(l), the first entry alone: what the trace does is another term.
        root = root_of_eigenvalues(eigenvalues, steps).sum()
        (slope,) = torch.autograd.grad(root, eigenvalues)
        axis.loglog(eigenvalues.detach(), slope, color=colour, label=f"{steps} steps")
    axis.set_xlabel("eigenvalue of C / tr C")
    axis.set_ylabel("derivative")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8)
    return figure


def spectra() -> Figure:
    """Draw eigenvalues of a covariance, of its root by five steps, and of the exact root."""
    matrix = covariance_pool(features_of_photograph(64))
    trace = matrix.diagonal(dim1=1, dim2=2).sum()
    before = torch.linalg.eigvalsh(matrix[0] / trace).flip(0)
    steps = torch.linalg.eigvalsh(newton_schulz_sqrt(matrix, 5)[0] / trace.sqrt()).flip(0)
    figure = new_figure(6.5, 3)
    axis = figure.subplots()
    number = np.arange(1, 65)
    axis.semilogy(number, before, color=ORANGE, label="covariance, of trace 1")
    axis.semilogy(number, before.clamp_min(0).sqrt(), color="black", label="its square root")
    axis.semilogy(number, steps, color=BLUE, linewidth=2.5, label="five Newton-Schulz steps")
    axis.set_xlabel("eigenvalue, the largest first")
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8)
    return figure


def corruptions() -> str:
    """Draw five corruptions of a scene of the demo at five severities, instead of a photograph."""
    from demo.scene import render_scene
    from gcp_mm.robustness.corrupt.images import corrupt_image

    side, gap, label = 116, 6, 118
    width, height = label + 6 * (side + gap), 22 + len(CORRUPTIONS) * (side + gap)
    image = render_scene((2 * side, 2 * side), seed=0, split="val", index=1).image
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]

    def text(x: float, y: float, words: str) -> None:
        parts.append(f'<text x="{x}" y="{y}">{words}</text>')

    def picture(column: int, row: int, pixels: np.ndarray) -> None:
        x, y = label + column * (side + gap), 22 + row * (side + gap)
        content = io.BytesIO()
        shown = Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)
        shown.save(content, "JPEG", quality=70)
        data = base64.b64encode(content.getvalue()).decode()
        parts.append(
            f'<image x="{x}" y="{y}" width="{side}" height="{side}" '
            f'href="data:image/jpeg;base64,{data}"/>'
        )

    for column, title in enumerate(("clean", *(f"severity {n}" for n in range(1, 6)))):
        text(label + column * (side + gap), 15, title)
    for row, name in enumerate(CORRUPTIONS):
        text(4, 22 + row * (side + gap) + side / 2, name)
        picture(0, row, image)
        for severity in range(1, 6):
            picture(severity, row, corrupt_image(image, name, severity, seed=0))
    return "\n".join([*parts, "</svg>", ""])


DRAWN: dict[str, Callable[[], Figure | str]] = {
    function.__name__: function
    for function in (covariance, newton_schulz, gram_form, gradient, spectra, corruptions)
}


def main(folder: Path = FIGURES) -> None:
    """Draw all of them into a folder."""
    for name, draw in DRAWN.items():
        path = folder / f"{name}.svg"
        drawn = draw()
        if isinstance(drawn, str):
            path.write_text(drawn, encoding="utf-8")
        else:
            save_figure(drawn, path)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
