"""Hooks that compare the model with its data and its schedule, at the first batch or before it.

Images so small that the covariance of their features is zero, pixels that a pretrained network of
timm does not expect, classes of the data that are not those of the model, and a batch size that the
learning rate was not made for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gcp_mm.engine.run_state import unwrapped
from gcp_mm.errors import UserError
from gcp_mm.first_process import warn
from gcp_mm.registry import HOOKS

if TYPE_CHECKING:
    from gcp_mm.models.classification import GlobalCovariancePooling


@HOOKS.register_module()
class FeatureMapCheckHook(Hook):
    """Look at the map that ``gcp_mm.GlobalCovariancePooling`` gets for the first batch.

    One position has no covariance: the output is zero for every image, and the loss stays at the
    logarithm of the number of classes.
    """

    _looked = False
    _handle: RemovableHandle | None = None

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Look at the first batch in the neck, and warn if its map has one position."""
        # A compiled graph would be made again for a hook that is there once.
        if self._looked or runner.cfg.get("compile"):
            return
        self._looked = True
        # By name: a run of a detector need not import the classifiers.
        neck = next(
            (
                module
                for module in unwrapped(runner.model).modules()
                if any(kind.__name__ == "GlobalCovariancePooling" for kind in type(module).__mro__)
            ),
            None,
        )
        if neck is None:
            return

        def look(neck: GlobalCovariancePooling, inputs: tuple) -> None:
            self._stop()
            features = inputs[0] if isinstance(inputs[0], Tensor) else inputs[0][-1]
            if features.dim() == 4:
                _warn_of_one_position(features.shape[2:], data_batch)
            elif features.dim() == 3:
                _warn_of_one_position((features.shape[1] - neck.num_extra_tokens,), data_batch)

        self._handle = neck.register_forward_pre_hook(look)

    before_test_iter = before_train_iter

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Any = None,
    ) -> None:
        """Leave the neck alone, also if the first batch did not get there."""
        self._stop()

    after_test_iter = after_train_iter

    def _stop(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None


def _warn_of_one_position(shape: Sequence[int], data_batch: dict | None) -> None:
    if set(shape) != {1}:
        return
    images = (data_batch or {}).get("inputs")
    size = " x ".join(map(str, images[0].shape[-2:])) if images is not None else "these"
    warn(
        f"images of {size} pixels leave a feature map of {' x '.join(map(str, shape))}: "
        "the covariance of one position is zero, every image looks the same to the head, and "
        "the loss stays at the logarithm of the number of classes. Enlarge the images in the "
        "pipelines (twice the size gives 2 x 2 positions, 224 pixels 7 x 7), or take a "
        "backbone of smaller stride"
    )


@HOOKS.register_module()
class PixelCheckHook(Hook):
    """Compare mean and std of the pixels with those that timm says its pretrained network had.

    A config names another network by one option, and keeps the pixels of the first. Differences of
    less than one of 255 are let through: EfficientNet-Lite0's files have 127 and 128 for 127.5.
    """

    def before_train(self, runner: Runner) -> None:
        """Warn once if they differ in a training that starts from weights."""
        model = unwrapped(runner.model)
        backbone = getattr(model, "backbone", None)
        meant = getattr(getattr(backbone, "timm_model", None), "pretrained_cfg", None)
        if not meant or getattr(runner, "_resume", False):
            return
        settings = runner.cfg.model.backbone
        # The last: by timm itself.
        own = getattr(backbone, "init_cfg", None)
        if not (runner._load_from or own or settings.get("pretrained")):
            return
        options = []
        for name, neutral in (("mean", 0.0), ("std", 1.0)):
            values = [round(255 * value, 3) for value in meant.get(name) or ()]
            found = getattr(getattr(model, "data_preprocessor", None), name, None)
            found = [neutral] * len(values) if found is None else found.flatten().tolist()
            if len(found) != len(values):
                continue
            if any(abs(a - b) >= 1 for a, b in zip(found, values, strict=True)):
                shown = ",".join(f"{value:g}" for value in values)
                options.append(f'data_preprocessor.{name}="[{shown}]"')
        if options:
            warn(
                f"the pixels of this config are not those that {settings.model_name} was "
                f"pretrained with, as timm says: pass --cfg-options {' '.join(options)}"
            )


@HOOKS.register_module()
class NumClassesCheckHook(Hook):
    """Compare ``num_classes`` of the heads with the classes of the data before the first batch.

    With too few, the loss fails on a label out of range; with too many, nothing fails and the
    scores are spread over classes that do not exist. Class folders are numbered as they are
    sorted, so a validation split without one of them would count others under wrong labels: the
    names have to be those of the training, which a checkpoint holds, when it is tested and when it
    is continued. mmpretrain's and mmdet's hooks compare numbers alone and end in an AssertionError.
    """

    _trained: Sequence[str] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the classes of the data that the checkpoint was trained on."""
        meta = checkpoint.get("meta") or {}
        self._trained = (meta.get("dataset_meta") or {}).get("classes")

    def before_train(self, runner: Runner) -> None:
        """Check the training data, and the validation data against them."""
        classes = self._check(runner, "train")
        if getattr(runner, "_resume", False):
            self._compare(self._trained, classes, "train", "the checkpoint that is continued")
        if runner.val_loop is not None:
            self._compare(classes, self._check(runner, "val"), "val")

    def before_test(self, runner: Runner) -> None:
        """Check the test data, also against those of the checkpoint."""
        self._compare(self._trained, self._check(runner, "test"), "test")

    def _check(self, runner: Runner, mode: str) -> Sequence[str] | None:
        """Compare the number of classes of a data set with the head's, and return the classes."""
        dataset = getattr(runner, f"{mode}_dataloader").dataset
        # None in the stand-in that mmpretrain's vis_scheduler trains on.
        classes = (getattr(dataset, "metainfo", None) or {}).get("classes")
        if classes is None:
            return None
        wrong = {key: n for key, n in _numbers(unwrapped(runner.model)) if n != len(classes)}
        if not wrong:
            return classes
        shown = ", ".join(map(str, classes[:3])) + (", ..." if len(classes) > 3 else "")
        key, expected = next(iter(wrong.items()))
        options = " ".join(f"{name}={len(classes)}" for name in wrong)
        raise UserError(
            f"the head of this config has {expected} classes ({key}), but the "
            f"{mode} data have {len(classes)} ({shown}; {mode}_dataloader.dataset.data_root="
            f"{getattr(dataset, 'data_root', None)!r}). Set {options} "
            "with --cfg-options, or name other data"
        )

    def _compare(
        self,
        trained: Sequence[str] | None,
        found: Sequence[str] | None,
        mode: str,
        source: str = "training",
    ) -> None:
        if trained is None or found is None or len(trained) != len(found):
            return
        differing = [i for i, name in enumerate(trained) if name != found[i]]
        if not differing:
            return
        index = differing[0]
        raise UserError(
            f"class {index} is {trained[index]!r} in {source}, but {found[index]!r} in the {mode} "
            f"data: their labels differ. Make the class folders equal, or give {mode}_dataloader."
            "dataset.classes (COCO-format data: dataset.metainfo.classes) in the order of the "
            "training"
        )


# Heads of detectors that tell classes apart; cascades have lists of them. A region proposal
# network tells objects from background.
_HEADS = re.compile(r"(^|\.)(bbox_head|mask_head)(\.\d+)?$")


def _numbers(model: object) -> Iterator[tuple[str, int]]:
    """Yield the number of classes of each head, with its key in the config."""
    heads = {"head": getattr(model, "head", None)}
    if isinstance(model, nn.Module):
        heads |= {name: part for name, part in model.named_modules() if _HEADS.search(name)}
    for name, head in heads.items():
        number = getattr(head, "num_classes", None)
        # One mask for all classes.
        if number is not None and not getattr(head, "class_agnostic", False):
            yield f"model.{name}.num_classes", number


@HOOKS.register_module()
class BatchSizeCheckHook(Hook):
    """Compare the global batch with ``auto_scale_lr.base_batch_size`` before training.

    The global batch is samples per process x processes x ``optim_wrapper.accumulative_counts``.
    """

    def before_train(self, runner: Runner) -> None:
        """Warn once if the batch differs and the learning rate is not scaled to it."""
        settings = runner.cfg.get("auto_scale_lr") or {}
        base = settings.get("base_batch_size")
        if base is None or settings.get("enable", False):
            return
        per_process = runner.cfg.train_dataloader.get("batch_size")
        if per_process is None:
            return
        accumulated = runner.cfg.optim_wrapper.get("accumulative_counts", 1)
        batch = per_process * runner.world_size * accumulated
        if batch == base:
            return
        # A config may leave the rate to the optimizer; one of several optimizers has none here.
        lr = (runner.cfg.optim_wrapper.get("optimizer") or {}).get("lr")
        given = "" if lr is None else f" {lr:g}"
        wanted = f"{batch / base:g} times it" if lr is None else f"{lr * batch / base:g}"
        # mmengine's scaling does not count the accumulation.
        cure = (
            f"set optim_wrapper.optimizer.lr={wanted}"
            if accumulated > 1
            else f"pass --auto-scale-lr to train with {wanted}"
        )
        warn(
            f"the learning rate{given} belongs to a batch of {base}, but this run has {batch} "
            f"({per_process} per process x {runner.world_size} processes"
            f"{f' x {accumulated} accumulated' if accumulated > 1 else ''}); {cure}, or change "
            "train_dataloader.batch_size"
        )
