import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmpretrain.datasets import ImageNet as MMPretrainImageNet
from mmpretrain.datasets.categories import IMAGENET_CATEGORIES

from gcp_mm.datasets import ImageNet
from gcp_mm.datasets.imagenet_classes import imagenet_wnids
from gcp_mm.engine.preflight import check_data
from gcp_mm.errors import UserError

NAMES = ["ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG"]


@pytest.fixture(scope="module")
def full_tree(tmp_path_factory) -> Path:
    """All class folders, one file in each."""
    root = tmp_path_factory.mktemp("imagenet")
    for wnid in imagenet_wnids():
        (root / "train" / wnid).mkdir(parents=True)
        (root / "train" / wnid / "1.JPEG").touch()
    return root


@pytest.fixture
def flat(tmp_path):
    """Return a function that writes the list of a flat folder, and gives the arguments for it."""

    def write(*lines, ann_file="val.txt", **options):
        (tmp_path / "val").mkdir()
        path = tmp_path / ann_file
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines))
        return dict(data_root=str(tmp_path), split="val", ann_file=ann_file, **options)

    return write


def labels(dataset):
    return [dataset.get_data_info(index)["gt_label"] for index in range(len(dataset))]


@pytest.mark.slow
def test_a_full_tree_has_the_labels_of_mmpretrain(full_tree):
    arguments = dict(data_root=str(full_tree), split="train")
    ours = DATASETS.build(dict(type="gcp_mm.ImageNet", **arguments))
    theirs = MMPretrainImageNet(**arguments)
    assert len(ours) == 1000
    assert [ours[i] for i in range(1000)] == [theirs[i] for i in range(1000)]
    assert ours.metainfo == theirs.metainfo == {"classes": IMAGENET_CATEGORIES}


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_partial_tree_keeps_the_labels(shared, split):
    root = shared / "data/imagenette96"
    dataset = ImageNet(data_root=str(root), split=split, allow_missing=True)
    rows = re.findall(
        r"^\| n\d{8} \| .+? \| (\d+) \| (\d+) \| (\d+) \|",
        (shared / "data/README.md").read_text(),
        re.MULTILINE,
    )
    counts = {int(row[0]): int(row[1 if split == "train" else 2]) for row in rows}
    assert Counter(labels(dataset)) == counts and len(counts) == 10
    assert len(dataset.metainfo["classes"]) == 1000


def test_a_partial_tree_is_refused_unless_it_is_wanted(shared):
    root = str(shared / "data/imagenette96")
    with pytest.raises(UserError, match="expected 1000 classes, found 10; 990 of 1000 miss"):
        ImageNet(data_root=root, split="val")


def test_a_folder_that_is_no_class_is_refused(split):
    (split / "lost+found").mkdir()
    (split / "tench").mkdir()
    with pytest.raises(UserError, match=r"1 not in the class table: tench"):
        ImageNet(data_root=str(split.parent), split="val", allow_missing=True)


def test_an_empty_class_folder_is_refused(full_tree, tmp_path):
    shutil.copytree(full_tree, tmp_path, dirs_exist_ok=True)
    (tmp_path / "train/n15075141/1.JPEG").rename(tmp_path / "train/n15075141/1.txt")
    with pytest.raises(UserError, match="1 of 1000 class folders hold no image .*: n15075141"):
        ImageNet(data_root=str(tmp_path), split="train")


@pytest.mark.parametrize("ann_file", ["val.txt", "meta/val.txt"])
def test_a_flat_folder_with_a_list(flat, tmp_path, ann_file):
    arguments = flat(f"{NAMES[0]} 65", f"{NAMES[1]} n01440764", ann_file=ann_file)
    if ann_file.startswith("meta/"):
        # Found by itself.
        del arguments["ann_file"]
    for name in NAMES[:2]:
        (tmp_path / "val" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "val" / name).touch()
    dataset = ImageNet(allow_missing=True, **arguments)
    assert labels(dataset) == [65, 0]
    assert dataset.get_data_info(1)["img_path"] == str(tmp_path / "val" / NAMES[1])


def test_a_list_of_some_classes_is_refused_unless_it_is_wanted(flat):
    with pytest.raises(UserError, match="val.txt': expected 1000 classes, found 1; 999 of 1000"):
        ImageNet(**flat(f"{NAMES[0]} 65"))


def test_the_list_of_the_development_kit_is_refused(flat):
    with pytest.raises(UserError, match=r"line 1 \('490'\).*ILSVRC ids from 1 to 1000"):
        ImageNet(**flat("490", "361", "171"))


def test_the_test_split_has_no_labels(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "1.JPEG").touch()
    dataset = ImageNet(data_root=str(tmp_path), split="test")
    assert len(dataset) == 1
    assert "gt_label" not in dataset.get_data_info(0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(split="train"), False),
        (dict(split="val"), True),
        (dict(split="test"), True),
        (dict(split="val", test_mode=False), False),
        (dict(data_prefix="val"), False),
        (dict(data_prefix="val", test_mode=True), True),
    ],
)
def test_validation_data_are_for_evaluation(options, expected):
    assert ImageNet(data_root="data", lazy_init=True, **options).test_mode == expected


@pytest.mark.parametrize("missing", ["val", "val.txt"])
def test_the_check_before_a_run_reads_its_arguments(flat, tmp_path, missing):
    dataset = dict(type="gcp_mm.ImageNet", **flat(f"{NAMES[0]} 65"))
    cfg = Config(dict(val_dataloader=dict(dataset=dataset)))
    check_data(cfg, ("val_dataloader",))
    path = tmp_path / missing
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=re.escape(f"{str(path)!r} does not exist")):
        check_data(cfg, ("val_dataloader",))
