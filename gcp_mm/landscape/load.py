"""What every measurement starts from: a trained classifier and fixed batches of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from torch import Tensor, nn

import gcp_mm.registry  # noqa: F401  (its models and data sets)
from gcp_mm.engine.checkpoint_loader import load_from_file
from gcp_mm.engine.coverage import compare, weights_of
from gcp_mm.engine.preflight import check_data
from gcp_mm.errors import CheckpointMismatchError, UserError

SPLITS = ("train", "val", "test")


def _scope(cfg: Config) -> str:
    scope = cfg.get("default_scope", "mmpretrain")
    if scope != "mmpretrain":
        raise UserError(
            f"default_scope is {scope!r}, and the loss landscape is that of a classifier; choose "
            "a classification config (configs/imagenet, configs/imagenette, configs/landscape)"
        )
    return scope


def load_model(cfg: Config, checkpoint: str | Path) -> nn.Module:
    """Build the classifier of a config with the weights of a checkpoint.

    The initialisation of the config does not run, so that pretrained files it names need not be
    there. Every tensor of the network has to be in the file.

    Args:
        cfg: A classification config.
        checkpoint: A file with ``state_dict``, or a state dict itself.

    Returns:
        The classifier on the CPU, in evaluation mode; called with images it returns logits.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointMismatchError: If the file lacks a tensor of the network, has one of another
            shape, or one that the network has not.
        UserError: If the config is none of a classifier, or the file cannot be read.
    """
    scope = _scope(cfg)
    loaded = load_from_file(checkpoint, "cpu")
    if not isinstance(loaded, dict) or not all(
        isinstance(tensor, Tensor) for tensor in weights_of(loaded).values()
    ):
        raise UserError(f"checkpoint {str(checkpoint)!r} holds no state dict of a network")
    with DefaultScope.overwrite_default_scope(scope):
        network = MODELS.build({"data_preprocessor": cfg.get("data_preprocessor"), **cfg.model})
    weights = weights_of(loaded)
    coverage = compare(network.state_dict(), weights)
    if not coverage.complete or coverage.unused:
        raise CheckpointMismatchError(
            f"checkpoint {str(checkpoint)!r} does not belong to the model of this config: "
            f"{coverage}; {coverage.details()}. Choose the config that it was trained with"
        )
    network.load_state_dict(weights, strict=False)
    return network.eval()


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
    scope = _scope(cfg)
    check_data(cfg, (f"{split}_dataloader",))
    with DefaultScope.overwrite_default_scope(scope):
        dataset = DATASETS.build(_for_evaluation(cfg, split))
        # An unreadable image is an error in test mode, where in training another one is drawn.
        dataset.test_mode = True
        dataset.full_init()
        preprocessor = MODELS.build({"type": "ClsDataPreprocessor", **_preprocessing(cfg)})
    count = num_batches * batch_size
    if count > len(dataset):
        raise UserError(
            f"{num_batches} batches of {batch_size} images are {count}, and {split} has "
            f"{len(dataset)}: ask for fewer (--batches, --batch-size)"
        )
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:count]
    with DefaultScope.overwrite_default_scope(scope):
        return [
            _batch([dataset[int(index)] for index in indices], preprocessor, split)
            for indices in chosen.reshape(num_batches, batch_size)
        ]


def _for_evaluation(cfg: Config, split: str) -> dict:
    """Take the data set of a split, inside of wrappers, with the test pipeline."""
    dataset = cfg[f"{split}_dataloader"].dataset
    tested = (cfg.get("test_dataloader") or cfg.get("val_dataloader") or {}).get("dataset", {})
    # RepeatDataset and ClassBalancedDataset show an image several times.
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    while "dataset" in tested:
        tested = tested["dataset"]
    if "pipeline" not in dataset or "pipeline" not in tested:
        raise UserError(
            f"{split}_dataloader.dataset or test_dataloader.dataset has no pipeline of its own "
            f"({dataset.get('type')}, {tested.get('type')}): use one data set without a wrapper"
        )
    return {**dataset, "pipeline": tested["pipeline"]}


def _preprocessing(cfg: Config) -> dict:
    return cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor") or {}


def _batch(samples: list[dict], preprocessor: nn.Module, split: str) -> tuple[Tensor, Tensor]:
    """Collate samples and normalise their images."""
    data = preprocessor(pseudo_collate(samples), training=False)
    labels = [sample.get("gt_label") for sample in data["data_samples"]]
    if any(label is None or label.numel() != 1 for label in labels):
        raise UserError(f"{split}_dataloader: an image without exactly one class (gt_label)")
    return data["inputs"], torch.cat([label.reshape(1) for label in labels])
