"""The loss that is probed, and the fixed batches of images on which networks are compared."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from torch import Tensor, nn
from torch.nn import functional

import gcp_mm.registry  # noqa: F401  (its data sets)
from gcp_mm.checkpoints.pretrained import classifier_scope
from gcp_mm.console.progress import if_long
from gcp_mm.engine.config import innermost, tested_dataset
from gcp_mm.engine.preflight import check_data
from gcp_mm.errors import UserError


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean cross-entropy of logits (B, classes) and class indices (B,)."""
    if logits.ndim != 2:
        raise UserError(f"the network returns shape {tuple(logits.shape)}, not logits (B, classes)")
    batch, classes = logits.shape
    indices = not (targets.is_floating_point() or targets.is_complex())
    if not indices or targets.shape != (batch,):
        raise UserError(
            f"the targets have shape {tuple(targets.shape)} and {targets.dtype}, not {batch} class "
            "indices; mixed or soft labels (mixup, cutmix) have no such index"
        )
    low, high = targets.min().item(), targets.max().item()
    if low < 0 or high >= classes:
        raise UserError(
            f"the targets reach from {low} to {high}, but the network has {classes} classes "
            f"(0 to {classes - 1})"
        )
    return functional.cross_entropy(logits, targets.long())


Batches = Sequence[tuple[Tensor, Tensor]]


def mean_loss(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    weights: Mapping[str, Tensor] | None = None,
) -> float:
    """Average the cross-entropy over the images of all batches, in float64.

    ``weights`` replace parameters of the model by name; the model keeps its own.
    """
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            logits = torch.func.functional_call(model, dict(weights or {}), (inputs,))
            total += float(cross_entropy(logits.double(), targets)) * len(targets)
            count += len(targets)
    return total / count


def finite_mean_loss(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Average the cross-entropy of a network that is to be examined."""
    loss = mean_loss(model, batches)
    if not math.isfinite(loss):
        raise UserError(
            f"the loss of the network itself is {loss} on these images, so there is nothing to "
            "measure around it; was the checkpoint saved after the training had diverged?"
        )
    return loss


SPLITS = ("train", "val", "test")


def fixed_batches(
    cfg: Config,
    num_batches: int = 1,
    batch_size: int = 256,
    seed: int = 0,
    split: str = "train",
) -> list[tuple[Tensor, Tensor]]:
    """Choose images at random once and prepare them as for evaluation.

    The choice depends on ``seed`` and the number of images alone, not on the model, so that two
    models are compared on the same images. They are loaded in this process by the test pipeline
    of the config: nothing is augmented.

    Args:
        cfg: A classification config.
        num_batches: Number of batches.
        batch_size: Images in each.
        seed: Of the choice; images are drawn without replacement.
        split: Whose images: 'train', 'val' or 'test', the data loader of that name.

    Returns:
        For each batch the normalised images (B, C, H, W) and their classes (B,), int64.

    Raises:
        UserError: If the split has not enough images, is missing or has no class labels.
    """
    if split not in SPLITS or not cfg.get(f"{split}_dataloader"):
        raise UserError(f"split {split!r}: the config has no data loader for it; one of {SPLITS}")
    if num_batches < 1 or batch_size < 1:
        raise UserError(f"{num_batches} batches of {batch_size} images: at least 1 of each")
    scope = classifier_scope(cfg)
    check_data(cfg, (f"{split}_dataloader",))
    with DefaultScope.overwrite_default_scope(scope):
        dataset = DATASETS.build(_for_evaluation(cfg, split))
        # An unreadable image is an error in test mode, where in training another one is drawn.
        dataset.test_mode = True
        dataset.full_init()
        settings = cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor") or {}
        preprocessor = MODELS.build({"type": "ClsDataPreprocessor", **settings})
    count = num_batches * batch_size
    if count > len(dataset):
        raise UserError(
            f"{num_batches} batches of {batch_size} images are {count}, and {split} has "
            f"{len(dataset)}: ask for fewer (--batches, --batch-size)"
        )
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:count]
    progress = if_long(count, "loading images")

    def load(index: int) -> dict:
        progress.update()
        return dataset[index]

    with DefaultScope.overwrite_default_scope(scope), progress:
        return [
            prepare_batch(
                preprocessor,
                pseudo_collate([load(int(index)) for index in indices]),
                f"{split}_dataloader",
            )
            for indices in chosen.reshape(num_batches, batch_size)
        ]


def digest_of(tensors: Iterable[Tensor]) -> str:
    """Return the SHA-256 of images, of images and their classes, or of other tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _for_evaluation(cfg: Config, split: str) -> dict:
    """Take the data set of a split, inside of wrappers, with the test pipeline."""
    # RepeatDataset and ClassBalancedDataset show an image several times.
    dataset, tested = innermost(cfg[f"{split}_dataloader"].dataset), tested_dataset(cfg)
    if "pipeline" not in dataset or "pipeline" not in tested:
        raise UserError(
            f"{split}_dataloader.dataset or test_dataloader.dataset has no pipeline of its own "
            f"({dataset.get('type')}, {tested.get('type')}): use one data set without a wrapper"
        )
    return {**dataset, "pipeline": tested["pipeline"]}


def prepare_batch(preprocessor: nn.Module, batch: dict, source: str) -> tuple[Tensor, Tensor]:
    """Normalise the images (B, C, H, W) of a batch, and return them with their classes (B,)."""
    data = preprocessor(batch, training=False)
    labels = [sample.get("gt_label") for sample in data["data_samples"]]
    if any(label is None or label.numel() != 1 for label in labels):
        raise UserError(f"{source}: an image without exactly one class (gt_label)")
    return data["inputs"], torch.cat([label.reshape(1) for label in labels])
