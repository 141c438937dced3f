"""Images without corruption are told apart by their names, classes and preparation.

Which class folder is which output.
"""

import json
import shutil

import pytest
from fine_grained_trees import VARIANTS, write_aircraft, write_cub
from mmengine.config import Config

from gcp_mm.datasets.class_folder import ClassFolder
from gcp_mm.datasets.imagenet_classes import imagenet_wnids
from gcp_mm.engine.config import load_config
from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.baselines import alexnet_config
from gcp_mm.robustness.evaluation.clean import check_list, class_table, clean_images
from gcp_mm.robustness.evaluation.options import Options
from robustness.conftest import CLASSES

TABLE = {name: index for index, name in enumerate(CLASSES)}


@pytest.fixture
def sha256(config, tmp_path):
    def compute(root, table=TABLE, pipeline=None, **options):
        cfg = load_config(str(config))
        if pipeline:
            cfg.test_dataloader.dataset.pipeline.insert(1, pipeline)
        asked = Options("imagenet-c", root, tmp_path / "o.json", "net", clean_root=root, **options)
        return clean_images(cfg, asked, table).sha256

    return compute


@pytest.mark.slow
def test_place_does_not_matter_and_all_else_does(sha256, clean, tmp_path):
    shutil.copytree(clean, tmp_path / "moved")
    expected = sha256(clean)
    assert sha256(tmp_path / "moved") == expected
    resize = dict(type="Resize", scale=(32, 32), backend="pillow")
    swapped = {**TABLE, CLASSES[0]: 1, CLASSES[1]: 0}
    swapped = dict(sorted(swapped.items(), key=lambda item: item[1]))
    others = [
        sha256(clean, pipeline=resize),
        sha256(clean, table=swapped),
        sha256(clean, num_samples=6),
    ]
    (tmp_path / "moved" / CLASSES[2] / "0.png").rename(tmp_path / "moved" / CLASSES[2] / "9.png")
    others.append(sha256(tmp_path / "moved"))
    assert len({expected, *others}) == 5


def test_part_of_a_networks_classes_is_accepted_if_the_tree_has_no_more(config, clean, tmp_path):
    table = {name: index for index, name in enumerate(["0 other", *CLASSES, "zz another"])}
    cfg = load_config(str(config))
    asked = Options("imagenet-c", tmp_path, tmp_path / "o.json", "net", clean_root=clean)
    found = clean_images(cfg, asked, table, CLASSES)
    assert set(found.labels) == {table[name] for name in CLASSES}
    with pytest.raises(UserError, match="2 of 8 missing: 0 other, zz another"):
        clean_images(cfg, asked, table, list(table))
    shutil.copytree(clean, tmp_path / "less", ignore=shutil.ignore_patterns(CLASSES[1]))
    asked = Options(
        "imagenet-c", tmp_path, tmp_path / "o.json", "net", clean_root=tmp_path / "less"
    )
    with pytest.raises(UserError, match=f"less' has no image of {CLASSES[1]}, and .* has: name"):
        clean_images(cfg, asked, table, CLASSES)


@pytest.fixture
def folders(tmp_path):
    for root, names in (("own", "ba"), ("clean", "dc")):
        for name in (*names, ".hidden"):
            (tmp_path / root / name).mkdir(parents=True)
    (tmp_path / "names.txt").write_text("h\ng\n")
    return tmp_path


OWN, LIST = (
    dict(type="CustomDataset", **more) for more in (dict(data_root="{own}"), dict(ann_file="l.txt"))
)


@pytest.mark.parametrize(
    ("dataset", "clean", "expected"),
    [
        (dict(type="gcp_mm.ClassFolder", classes=["z", "y"], data_root="{own}"), 1, ["z", "y"]),
        (dict(type="gcp_mm.ClassFolder", classes="{names.txt}"), True, ["h", "g"]),
        (dict(type="gcp_mm.ClassFolder", metainfo=dict(classes=["z", "y"])), 0, ["z", "y"]),
        # The list decides, and the classes are the names of its labels.
        (dict(LIST, metainfo=dict(classes=["d", "c"])), True, ["d", "c"]),
        (dict(LIST, classes=["y"], metainfo=dict(classes=["d", "c"])), True, ["d", "c"]),
        # The sorted folders decide, and the classes are only what they are called.
        (dict(OWN, classes=["a", "b", "c"]), True, ["a", "b", "c"]),
        (dict(OWN, classes=["dog", "cat"]), True, ["a", "b"]),
        (dict(type="CustomDataset", classes=["c", "d", "e"], data_root="/absent"), 1, list("cde")),
        (dict(type="ImageNet", split="own", data_root="{}", classes=["z", "y"]), 1, ["a", "b"]),
        (dict(type="gcp_mm.ImageNet", classes=["z", "y"]), True, list(imagenet_wnids())),
        (dict(type="gcp_mm.ImageNet", data_root="{own}"), True, list(imagenet_wnids())),
        (dict(type="ImageNet"), False, list(imagenet_wnids())),
        (dict(type="gcp_mm.ClassFolder", data_root="{own}"), True, ["a", "b"]),
        (
            dict(type="RepeatDataset", dataset=dict(data_root="{}", data_prefix="own")),
            0,
            ["a", "b"],
        ),
        (dict(type="CustomDataset", data_root="/absent"), True, ["c", "d"]),
        (dict(data_root="{}", data_prefix=dict(img_path="own")), True, ["a", "b"]),
        (dict(type="ClassFolder", data_root="{own}", data_prefix=dict(img="x")), 0, ["a", "b"]),
    ],
)
def test_table_is_that_of_the_config_before_that_of_the_data(folders, dataset, clean, expected):
    text = json.dumps(dataset)
    for name in ("own", "names.txt", ""):
        text = text.replace(f"{{{name}}}", str(folders / name)) if name else text
    text = text.replace('"data_root": "{}"', f'"data_root": "{folders}"')
    cfg = Config(dict(test_dataloader=dict(dataset=json.loads(text))))
    found = class_table(cfg, folders / "clean" if clean else None)
    assert list(found) == expected


def table_of(kind, root, split):
    dataset = dict(type=f"gcp_mm.{kind}", data_root=str(root), split=split)
    return class_table(Config(dict(test_dataloader=dict(dataset=dataset))))


def test_folders_of_cub_have_the_numbers_of_its_lists(tmp_path):
    """The folders of its root are images and others, and no classes."""
    folders = [f"{number:03}.Kind" for number in range(1, 5)]
    write_cub(tmp_path)
    assert table_of("CUB", tmp_path, "train") == folders
    path, swapped = tmp_path / "image_class_labels.txt", {"1": "4", "4": "1"}
    pairs = [line.split() for line in path.read_text().splitlines()]
    path.write_text("".join(f"{index} {swapped.get(n, n)}\n" for index, n in pairs))
    assert table_of("CUB", tmp_path, "train") == [folders[3], *folders[1:3], folders[0]]


def test_data_without_class_folders_have_the_names_of_their_classes(tmp_path):
    assert len(table_of("CUB", tmp_path / "elsewhere", "test")) == 200
    found = table_of("FGVCAircraft", write_aircraft(tmp_path), "test")
    assert len(found) == 100 and {*VARIANTS} < {*found}


@pytest.mark.parametrize(("classes", "root"), [("ba", "own"), ("az", "own"), ("ba", "absent")])
def test_classes_in_another_order_than_the_sorted_folders_are_refused(folders, classes, root):
    """There mmpretrain's labels are not what the config seems to say."""
    dataset = dict(type="CustomDataset", classes=[*classes], data_root=str(folders / root))
    with pytest.raises(UserError, match="are not the sorted class folders.*CustomDataset takes"):
        class_table(Config(dict(test_dataloader=dict(dataset=dataset))))


def test_list_that_mmpretrain_finds_decides_the_labels(tmp_path):
    for name in ("n01", "n02"):
        (tmp_path / "val" / name).mkdir(parents=True)
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/val.txt").write_text("n02/x.jpg 0\nn01/y.jpg 1\n")
    dataset = dict(type="ImageNet", data_root=str(tmp_path), split="val", classes=["n02", "n01"])
    cfg = Config(dict(test_dataloader=dict(dataset=dataset), default_scope="mmpretrain"))
    assert class_table(cfg) == ["n02", "n01"]
    check_list(cfg, {"n02": 0, "n01": 1})
    with pytest.raises(UserError, match="folder 'n02' the label 0"):
        check_list(cfg, {"n01": 0, "n02": 1})


@pytest.mark.parametrize(
    ("lines", "right", "wrong", "told"),
    [
        (
            ["val/cat/1.png 1", "val/dog/2.png 0", "flat.png 0"],
            {"dog": 0, "cat": 1},
            {"cat": 0, "dog": 1},
            "'cat' the label 1.* have 0",
        ),
        # A split may have the name of a class.
        (
            ["train/bus/x.jpg 0", "train/train/y.jpg 1"],
            {"bus": 0, "train": 1},
            {"train": 2, "bus": 1},
            "'bus' the label 0",
        ),
    ],
)
def test_labels_of_a_list_are_compared_with_the_table(tmp_path, lines, right, wrong, told):
    (tmp_path / "list.txt").write_text("\n".join(lines))
    dataset = dict(type="CustomDataset", data_root=str(tmp_path), ann_file="list.txt")
    cfg = Config(dict(test_dataloader=dict(dataset=dataset), default_scope="mmpretrain"))
    check_list(cfg, right)
    with pytest.raises(UserError, match=rf"list\.txt' gives images of .*{told}"):
        check_list(cfg, wrong)


@pytest.mark.parametrize("labels", ["12", "21"])
def test_labels_of_the_configs_own_clean_images_are_compared(config, clean, tmp_path, labels):
    lines = [f"class_{name}/0.png {label}" for name, label in zip("12", labels, strict=True)]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    cfg = load_config(str(config))
    dataset = dict(type="CustomDataset", data_prefix=str(clean), ann_file=f"{tmp_path}/list.txt")
    cfg.test_dataloader.dataset = dict(**dataset, pipeline=cfg.pipeline)
    asked = Options("imagenet-c", tmp_path, tmp_path / "o.json", "net", clean=True)
    if labels == "12":
        assert clean_images(cfg, asked, TABLE).labels.tolist() == [1, 2]
        return
    with pytest.raises(UserError, match=r"^test_dataloader\.dataset gives .*'class_1' the label 2"):
        clean_images(cfg, asked, TABLE)


@pytest.mark.parametrize("kind", ["gcp_mm.ClassFolder", ClassFolder])
def test_no_clean_image_is_replaced_by_another(config, clean, tmp_path, kind):
    """In a config in Python the type is the class."""
    cfg = load_config(str(config))
    cfg.test_dataloader.dataset.update(type=kind, data_root=str(clean))
    asked = Options("imagenet-c", tmp_path, tmp_path / "o.json", "net", clean=True)
    assert clean_images(cfg, asked, TABLE).data.dataset.test_mode


def test_alexnet_has_the_classes_of_imagenet():
    assert list(class_table(alexnet_config())) == list(imagenet_wnids())


@pytest.mark.parametrize("dataset", [{}, dict(type="CustomDataset", data_root="/absent")])
def test_no_table_leaves_it_to_the_tree(dataset):
    assert class_table(Config(dict(test_dataloader=dict(dataset=dataset)))) is None
