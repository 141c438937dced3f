"""Which class folder is which output."""

import json

import pytest
from mmengine.config import Config

from gcp_mm.datasets.imagenet_classes import imagenet_wnids
from gcp_mm.robustness.evaluation.baselines import alexnet_config
from gcp_mm.robustness.evaluation.clean import class_table


@pytest.fixture
def folders(tmp_path):
    for root, names in (("own", "ba"), ("clean", "dc")):
        for name in (*names, ".hidden"):
            (tmp_path / root / name).mkdir(parents=True)
    (tmp_path / "names.txt").write_text("h\ng\n")
    return tmp_path


@pytest.mark.parametrize(
    ("dataset", "clean", "expected"),
    [
        (dict(classes=["z", "y"], data_root="{own}"), True, ["z", "y"]),
        (dict(classes="{names.txt}"), True, ["h", "g"]),
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


def test_alexnet_has_the_classes_of_imagenet():
    assert list(class_table(alexnet_config())) == list(imagenet_wnids())


@pytest.mark.parametrize("dataset", [{}, dict(type="CustomDataset", data_root="/absent")])
def test_no_table_leaves_it_to_the_tree(dataset):
    assert class_table(Config(dict(test_dataloader=dict(dataset=dataset)))) is None
