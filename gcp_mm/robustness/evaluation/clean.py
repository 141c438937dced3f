"""The images without corruption, prepared as the config prepares its test images.

Which class folder is which output of the network is decided here, too, by :func:`class_table`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from mmpretrain.datasets import CustomDataset
from mmpretrain.datasets import ImageNet as MMPretrainImageNet
from torch.utils.data import Dataset, Subset

from gcp_mm.datasets.class_folder import ClassFolder
from gcp_mm.datasets.imagenet import ImageNet
from gcp_mm.datasets.imagenet_classes import imagenet_wnids
from gcp_mm.datasets.skip_unreadable import SkipUnreadable
from gcp_mm.datasets.text_list import check_class_names, read_class_names, read_lines
from gcp_mm.engine.config import tested_dataset
from gcp_mm.engine.preflight import check_data, is_ours
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, why_absent
from gcp_mm.images.names import list_class_folders
from gcp_mm.plain_data import digest
from gcp_mm.robustness.evaluation.options import Options


def class_table(cfg: Config, clean_root: str | Path | None = None) -> Sequence[str] | None:
    """Find the class folders in the order of a network's outputs.

    Never from the folders of a cell: where one is missing, all labels behind it would shift. In
    this order: ``classes`` of the config's test data, ImageNet's table if these are ImageNet, the
    class folders that they have, those of the clean images. None leaves it to the tree. Where
    mmpretrain takes the labels from the sorted folders, ``classes`` are only what these are called.
    Data of another layout, such as CUB, have labels of their own.
    """
    dataset = tested_dataset(cfg)
    kind, classes = _kind(cfg, dataset), _stated_classes(cfg, dataset)
    if issubclass(kind, ImageNet) or (classes is None and issubclass(kind, MMPretrainImageNet)):
        return imagenet_wnids()
    sorts = issubclass(kind, CustomDataset) and not issubclass(kind, ClassFolder)
    sorts = sorts and _list_of(dataset, kind) is None
    if classes is not None and not sorts:
        return classes
    if kind is not object and not issubclass(kind, CustomDataset):
        # mmpretrain's own may download what is not there.
        folders = _folders_by_label(cfg, dataset) if issubclass(kind, SkipUnreadable) else None
        known = getattr(kind, "METAINFO", {}).get("classes")
        return folders or known or _first_folders(clean_root)
    folders = _first_folders(_own_folder(dataset, kind), clean_root)
    if classes is None:
        return folders
    if classes == sorted(classes) and {*(folders or ())} <= {*classes}:
        return classes
    if folders and {*folders}.isdisjoint(classes):
        return folders
    there = f" ({abbreviate(folders)})" if folders else ""
    raise UserError(
        f"classes of the config's test data ({abbreviate(classes)}) are not the sorted class "
        f"folders{there}, from which {kind.__name__} takes its labels whatever classes says: leave "
        "classes out, or use type='gcp_mm.ClassFolder' if they are the order of the network's "
        "outputs"
    )


def _kind(cfg: Config, dataset: Mapping) -> type:
    """Find the class of a data set of a config; that of all objects if there is none."""
    kind = dataset.get("type")
    with DATASETS.switch_scope_and_registry(cfg.get("default_scope", "mmpretrain")) as registry:
        found = registry.get(kind) if isinstance(kind, str) else kind
    return found if isinstance(found, type) else object


def _stated_classes(cfg: Config, dataset: Mapping) -> list[str] | None:
    """Read the names that a config gives its classes."""
    stated = [dataset.get("classes"), (dataset.get("metainfo") or {}).get("classes")]
    if not issubclass(_kind(cfg, dataset), ClassFolder):
        # With both, mmpretrain takes that of metainfo.
        stated.reverse()
    classes = stated[0] or stated[1]
    if not classes:
        return None
    if isinstance(classes, str):
        return read_class_names(classes)
    return check_class_names(classes, "classes of the data set")


def _own_folder(dataset: Mapping, kind: type) -> Path | None:
    """Return where a data set of class folders has them."""
    prefix = dataset.get("data_prefix") or ""
    if isinstance(prefix, Mapping):
        prefix = prefix.get("img_path") or ""
    if issubclass(kind, MMPretrainImageNet):
        prefix = prefix or dataset.get("split") or ""
    own = Path(dataset.get("data_root") or "", prefix)
    return None if own == Path() or _list_of(dataset, kind) else own


def _list_of(dataset: Mapping, kind: type) -> Path | None:
    """Return the list of images that decides the labels; mmpretrain's ImageNet looks for one."""
    root = Path(dataset.get("data_root") or "")
    if name := dataset.get("ann_file"):
        return root / name
    if issubclass(kind, MMPretrainImageNet) and (split := dataset.get("split")):
        found = root / "meta" / f"{split}.txt"
        return found if found.is_file() else None
    return None


def _folders_by_label(cfg: Config, dataset: Mapping) -> list[str] | None:
    """List the folders in which the images of a data set lie by their label, if each has one."""
    try:
        built = _build(cfg, {**dataset, "pipeline": []})
    except (OSError, ValueError):  # these data are not needed: they may lie elsewhere
        return None
    infos = [built.get_data_info(index) for index in range(len(built))]
    pairs = {
        (str(info.get("gt_label")), Path(info.get("img_path", "")).parent.name) for info in infos
    }
    names = dict(pairs)
    folders = [names.get(str(label), "") for label in range(len(pairs))]
    # One folder for each label, and one label for each folder.
    return folders if folders and len({*folders} - {""}) == len(folders) else None


def _build(cfg: Config, dataset: Mapping) -> Any:
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmpretrain")):
        built = DATASETS.build(dataset)
        built.full_init()
    return built


def _first_folders(*roots: str | Path | None) -> list[str] | None:
    """List the class folders of the first place that has some."""
    for root in roots:
        if root is not None and Path(root).is_dir() and (names := list_class_folders(root)):
            return names
    return None


def check_list(cfg: Config, table: Mapping[str, int]) -> None:
    """Require of a list of the config's test data that its labels are those of a class table.

    A ClassFolder that knows its classes compares them itself.
    """
    dataset = tested_dataset(cfg)
    kind = _kind(cfg, dataset)
    path = _list_of(dataset, kind)
    if not issubclass(kind, CustomDataset) or issubclass(kind, ImageNet):
        return
    if path is None or not path.is_file():
        return
    if issubclass(kind, ClassFolder) and _stated_classes(cfg, dataset) is not None:
        return
    pairs = [line.rsplit(maxsplit=1) for line in read_lines(str(path))]
    samples = ((Path(pair[0]), int(pair[1])) for pair in pairs if pair[1:] and pair[1].isdecimal())
    _check_labels(samples, table, repr(str(path)))


def _check_labels(
    samples: Iterable[tuple[Path, int]], table: Mapping[str, int], source: str
) -> None:
    """Require of images, from the folder of the data, the label of a class folder that they are in.

    A split may have the name of a class, such as ``train``.
    """
    for path, label in samples:
        names = [name for name in path.parts[:-1] if name in table]
        if names and label not in {table[name] for name in names}:
            name = names[-1]
            raise UserError(
                f"{source} gives images of the class folder {name!r} the label {label}, and "
                f"corrupted ones would have {table[name]}: name the class folders in the order of "
                "the network's outputs, as classes=[...] of test_dataloader.dataset, which is a "
                "gcp_mm.ClassFolder or has an ann_file"
            )


@dataclass(frozen=True)
class CleanImages:
    """Images without corruption.

    Attributes:
        data: A data set of mmpretrain.
        labels: (images,) their classes.
        sha256: Digest of how they are prepared, their names and their classes.
    """

    data: Dataset
    labels: np.ndarray
    sha256: str


def clean_images(
    cfg: Config, options: Options, table: Mapping[str, int], measured: Collection[str] = ()
) -> CleanImages | None:
    """Build the data set of the images without corruption, by the class index of each folder.

    ``measured`` are the classes that the corrupted images have. Where they are a part of the
    table, ``--clean-root`` may be one that has them.
    """
    if options.clean_source is None:
        return None
    dataset = dict(tested_dataset(cfg))
    if "pipeline" not in dataset:
        raise UserError(
            "the config has no test_dataloader with a pipeline, which prepares clean images; "
            "give the error as --clean-error"
        )
    root = options.clean_root
    if root is None:
        check_data(cfg, ("test_dataloader",))
    elif not root.is_dir():
        raise UserError(f"--clean-root {str(root)!r} {why_absent(root, 'folder')}")
    else:
        dataset = {
            "type": "gcp_mm.ClassFolder",
            "data_root": str(root),
            "classes": list(table),
            "allow_missing": options.num_samples is not None or 0 < len(measured) < len(table),
            "pipeline": dataset["pipeline"],
        }
    if is_ours(dataset["type"]):
        dataset["test_mode"] = True
    built = _build(cfg, dataset)
    labels = np.asarray(built.get_gt_labels())
    if root is None:
        # As the config's own data set has labelled them.
        infos = (built.get_data_info(index) for index in range(len(labels)))
        samples = ((_below(built, info), info["gt_label"]) for info in infos)
        _check_labels(samples, table, "test_dataloader.dataset")
    present = set(labels.tolist()) if root and options.num_samples is None else table.values()
    if absent := [name for name in measured if table[name] not in present]:
        raise UserError(
            f"--clean-root {str(root)!r} has no image of {abbreviate(absent)}, and "
            f"{str(options.data_root)!r} has: name the images that the tree was made from"
        )
    number = min(options.num_samples or len(labels), len(labels))
    chosen = np.arange(number) * len(labels) // number
    names = [_name(built.get_data_info(int(index))) for index in chosen]
    sha256 = digest([dataset["pipeline"], names, labels[chosen].tolist()])
    return CleanImages(Subset(built, chosen.tolist()), labels[chosen], sha256)


def _below(built: Any, info: Mapping) -> Path:
    """Return the path of an image from the folder of its data set."""
    path, folder = Path(info.get("img_path", "")), Path(built.data_prefix.get("img_path") or "")
    return path.relative_to(folder) if path.is_relative_to(folder) else Path(*path.parts[-2:])


def _name(info: Mapping) -> str:
    # Where the data set lies does not matter.
    return "/".join(Path(info.get("img_path", "")).parts[-2:])
