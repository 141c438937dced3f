"""Everything that an evaluation needs before its first image, checked in the order of its cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.dist import init_dist, is_distributed
from mmengine.registry import DefaultScope
from PIL import Image

from gcp_mm.checkpoints.pretrained import classifier_scope, load_model
from gcp_mm.engine.config import tested_dataset
from gcp_mm.engine.distributed import prepare_distributed
from gcp_mm.engine.torch_backends import check_gpu_driver, find_device
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.first_process import on_first_process, warn
from gcp_mm.robustness.data.fixed_size import RELEASED_SIZE
from gcp_mm.robustness.data.imagenet_c import ImageNetC
from gcp_mm.robustness.data.imagenet_p import ImageNetP
from gcp_mm.robustness.data.listing import Listing
from gcp_mm.robustness.data.tree import RobustnessTree
from gcp_mm.robustness.evaluation.baselines import load_alexnet
from gcp_mm.robustness.evaluation.classifier import Classifier
from gcp_mm.robustness.evaluation.clean import (
    CleanImages,
    check_list,
    class_table,
    clean_images,
)
from gcp_mm.robustness.evaluation.options import Options


@dataclass(frozen=True)
class Prepared:
    """What is evaluated: data, network, and images without corruption if they are measured."""

    tree: RobustnessTree
    classifier: Classifier
    clean: CleanImages | None


def prepare(cfg: Config, checkpoint: str | Path, options: Options) -> Prepared:
    """Find data and weights and check that they go together."""
    classifier_scope(cfg)
    device = set_up(cfg, options.device)
    table = class_table(cfg, options.clean_root)
    # Listed by one process: on a network file system this takes a while.
    listing = on_first_process(lambda: _tree(options, table, None).complete)
    tree = _tree(options, table, listing)
    check_list(cfg, tree.class_to_index)
    clean = clean_images(cfg, options, tree.class_to_index, tree.complete.classes)
    _check_shards(options, tree, clean)
    _compare_reading(cfg, tree, clean)
    _compare_pixels(cfg, options, clean)
    network = load_alexnet(checkpoint) if cfg.filename is None else load_model(cfg, checkpoint)
    classifier = Classifier(network, device, options.dtype)
    _check_classes(classifier, tree, options)
    return Prepared(tree, classifier, clean)


def set_up(cfg: Config, device: str | None) -> torch.device:
    """Join the process group of the launcher, and choose the device: see :func:`find_device`."""
    if device is None:
        check_gpu_driver()
    launcher = cfg.get("launcher", "none")
    prepare_distributed(cfg)
    if launcher != "none" and not is_distributed():
        init_dist(launcher, backend="nccl" if torch.cuda.is_available() else "gloo")
    return find_device(device)


def _check_shards(options: Options, tree: RobustnessTree, clean: CleanImages | None) -> None:
    """Require that no shard is without a file of a cell."""
    cells = {"files": tree.num_items}
    if clean is not None:
        cells["images without corruption"] = len(clean.labels)
    shards = options.shard[1] if options.shard else 1
    for what, number in cells.items():
        if shards > number:
            raise UserError(f"--shard: {shards} shards for {number} {what}; ask for fewer")


def _compare_reading(cfg: Config, tree: RobustnessTree, clean: CleanImages | None) -> None:
    """Warn of what makes the network's images and those of the tree different ones."""
    if clean is not None and tree.num_samples is None and len(clean.labels) != tree.num_items:
        warn(
            f"{len(clean.labels)} images without corruption, and {tree.num_items} in each cell of "
            f"{str(tree.root)!r}: the errors are of different images"
        )
    if tree.manifest is not None and not tree.manifest.get("states_reading"):
        warn(
            f"{str(tree.root)!r} was made by an earlier version, which ignored orientation tags "
            "and whitened 16-bit images: if the source has any, make the tree again, or the errors "
            "are of other pixels than the clean one"
        )
    if tree.manifest is not None and not tree.sealed:
        warn(
            f"{str(tree.root)!r} was made by an earlier version, without digests of its files: "
            "damage that a decoder takes for right is not noticed"
        )
    reading = tree.manifest["settings"].get("reading", {}) if tree.manifest else {}
    load: Mapping[str, Any] = next(iter(tested_dataset(cfg).get("pipeline") or ()), {})
    ignores = load.get("ignore_orientation", False) or "ignore" in str(load.get("color_type"))
    network = "ignored" if ignores else "applied"
    if (made := reading.get("orientation", network)) != network:
        warn(
            f"the orientation tags of {reading['with_orientation_tag']} images were {made} when "
            f"{str(tree.root)!r} was made, and are {network} by the config's test pipeline: make "
            f"the tree {'with' if ignores else 'without'} --ignore-orientation, or change "
            "ignore_orientation of the pipeline's gcp_mm.LoadImage"
        )


# A colour (RGB), and width and height: not square, which what a pipeline cuts out is.
_COLOUR, _SIZE = (200, 120, 40), (337, 331)


def _compare_pixels(cfg: Config, options: Options, clean: CleanImages | None) -> None:
    """Refuse a test pipeline that changes colours; warn of one that gives images another size.

    Images of a tree do not pass it: the data preprocessor gets them as they were decoded.
    """
    image = _of_one_colour(cfg)
    if image is None:
        return
    middle = image[:, image.shape[1] // 2, image.shape[2] // 2].double()
    expected = torch.tensor(_COLOUR[::-1], dtype=torch.double)
    if not torch.allclose(middle, expected, rtol=0, atol=2):
        raise UserError(
            f"the config's test pipeline turns the pixel {_COLOUR[::-1]} (blue, green, red) into "
            f"{tuple(round(value, 2) for value in middle.tolist())}, and images of "
            f"{str(options.data_root)!r}, which are final, do not pass it: leave normalisation and "
            "the order of the channels to data_preprocessor (mean, std, to_rgb)"
        )
    height, width = image.shape[1:]
    if height != width and math.isclose(width / height, _SIZE[0] / _SIZE[1], rel_tol=0.01):
        # Images keep their size, or their shape.
        if clean is None:
            return
        height, width = clean.data[0]["inputs"].shape[-2:]
    size = options.input_size or RELEASED_SIZE
    if (height, width) != (size, size):
        alike = f": --input-size {width} makes them alike" if height == width else ""
        warn(
            f"the config's test images are {width} x {height}, and those of "
            f"{str(options.data_root)!r} are used at {size} x {size}, which changes their error "
            f"too{alike}"
        )


def _of_one_colour(cfg: Config) -> torch.Tensor | None:
    """Prepare an image of one colour by the test pipeline; None if it does not take one."""
    scope = DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmpretrain"))
    try:
        with scope, TemporaryDirectory() as folder:
            path = Path(folder, "image.png")
            Image.new("RGB", _SIZE, _COLOUR).save(path)
            found = Compose(tested_dataset(cfg).get("pipeline"))({"img_path": str(path)})
            image = found["inputs"]
    except Exception:  # a transform of a config can raise anything; nothing else here needs it
        return None
    fits = isinstance(image, torch.Tensor) and image.dim() == 3 and len(image) == len(_COLOUR)
    return image if fits else None


def _tree(options: Options, table: Sequence[str] | None, listing: Listing | None) -> RobustnessTree:
    where, size = (options.data_root, options.names), (options.num_samples, options.input_size)
    if options.dataset == "imagenet-c":
        return ImageNetC(*where, options.severities, table, *size, options.decoder, listing)
    return ImageNetP(*where, options.difficulty, table, *size, listing)


def _check_classes(classifier: Classifier, tree: RobustnessTree, options: Options) -> None:
    found, wanted = (
        classifier.num_classes(options.input_size or RELEASED_SIZE),
        len(tree.class_to_index),
    )
    if found != wanted:
        raise UserError(
            f"the model has {found} classes, and {str(tree.root)!r} is labelled with {wanted} "
            f"({abbreviate(tree.class_to_index)}): choose a model that was trained on these "
            "classes, or set test_dataloader.dataset.classes to the model's class folders"
        )
    if options.dataset == "imagenet-p" and found < 5:
        raise UserError(
            f"top-5 distances need 5 classes, and the model has {found}: ImageNet-P cannot be "
            "measured with it, ImageNet-C can (--dataset imagenet-c)"
        )
