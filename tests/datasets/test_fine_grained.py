"""The three fine-grained data sets, against trees that are written here."""

import shutil
from pathlib import Path

import pytest
from fine_grained_trees import LABELS, TEST, VARIANTS, fine_grained
from mmengine.registry import DATASETS, init_default_scope

from gcp_mm.datasets import CUB, FGVCAircraft, StanfordCars
from gcp_mm.engine.config import load_config
from gcp_mm.engine.preflight import check_data
from gcp_mm.errors import UserError

__all__ = ["fine_grained"]

KINDS = {"cub": CUB, "aircraft": FGVCAircraft, "cars": StanfordCars}
TRAIN = {"cub": "train", "aircraft": "trainval", "cars": "train"}
ANNOTATIONS = {
    "cub": "images.txt",
    "aircraft": "data/images_variant_test.txt",
    "cars": "cars_annos.mat",
}


@pytest.fixture
def spoilt(fine_grained, tmp_path):
    """Return a tree that may be changed."""

    def copy(data):
        return shutil.copytree(fine_grained(data), tmp_path / "tree")

    return copy


def labels(dataset):
    found = [dataset.get_data_info(index)["gt_label"] for index in range(len(dataset))]
    if isinstance(dataset, FGVCAircraft):
        return [dataset.metainfo["classes"][label] for label in found]
    return [label + 1 for label in found]


@pytest.mark.parametrize("data", KINDS)
@pytest.mark.parametrize("test", [False, True])
def test_images_and_labels_of_a_split(fine_grained, data, test):
    dataset = DATASETS.build(
        dict(
            type=f"gcp_mm.{KINDS[data].__name__}",
            data_root=str(fine_grained(data)),
            split="test" if test else TRAIN[data],
        )
    )
    chosen = [label for label, in_test in zip(LABELS, TEST, strict=True) if in_test == test]
    expected = [VARIANTS[label - 1] for label in chosen] if data == "aircraft" else chosen
    assert labels(dataset) == expected
    assert dataset.test_mode is test


@pytest.mark.parametrize("data", KINDS)
def test_evaluation_on_the_training_images_skips_none_of_them(spoilt, data):
    """As the tools build the loaders of validation: with test_mode, whatever the split is."""
    root = spoilt(data)
    load = [dict(type="gcp_mm.LoadImage")]
    dataset = KINDS[data](str(root), TRAIN[data], test_mode=True, pipeline=load)
    assert len(dataset) == TEST.count(False)
    Path(dataset.get_data_info(0)["img_path"]).write_bytes(b"no image")
    with pytest.raises(UserError, match="Evaluation skips no image"):
        dataset[0]
    assert KINDS[data](str(root), TRAIN[data], pipeline=load)[0] is not None


@pytest.mark.parametrize("data", KINDS)
def test_lazy_data_are_those_of_the_split(fine_grained, data):
    dataset = KINDS[data](str(fine_grained(data)), "test", test_mode=False, lazy_init=True)
    dataset.full_init()
    assert len(dataset) == TEST.count(True) and dataset.test_mode is False


@pytest.mark.parametrize("data", KINDS)
def test_annotations_that_are_absent_or_of_another_form_are_one_error(spoilt, data):
    root = spoilt(data)
    name, file = KINDS[data].__name__, root / ANNOTATIONS[data]
    file.write_bytes(b"one two three\n" * 20)
    with pytest.raises(UserError, match=f"{name} in '{root}': '{file}'.* cannot be read") as caught:
        KINDS[data](str(root), "test")
    assert len(str(caught.value).splitlines()) == 1
    file.unlink()
    with pytest.raises(UserError, match=f"{name} in '{root}': .*'{file}'"):
        KINDS[data](str(root), "test")


def _write(file, text):
    return lambda root: (root / file).write_text(text)


def _mat_without_table(root):
    import mat4py

    mat4py.savemat(str(root / "cars_annos.mat"), {"other": [1, 2]})


FAULTS = {
    "blank in a name": (
        *("cub", _write("images.txt", "1 a/b c.jpg\n")),
        "images.txt' or .*image_class_labels.txt' or .*: ValueError: too many values",
    ),
    "variant that there is not": (
        *("aircraft", _write("data/images_variant_test.txt", "0000001 Zeppelin\n")),
        r"images_variant_test.txt' cannot be read: ValueError: tuple.index",
    ),
    "blank line": (
        *("aircraft", _write("data/images_variant_test.txt", "\n")),
        "images_variant_test.txt' cannot be read: IndexError: list index",
    ),
    "file without the table": (
        *("cars", _mat_without_table),
        "cars_annos.mat' cannot be read: KeyError: 'annotations'",
    ),
    "no annotations": (
        *("cars", lambda root: (root / "cars_annos.mat").unlink()),
        "neither .*cars_annos.mat' nor .*devkit/cars_test_annos_withlabels.mat' exists",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_file_at_fault_is_named(spoilt, fault):
    data, change, message = FAULTS[fault]
    root = spoilt(data)
    change(root)
    with pytest.raises(UserError, match=message) as caught:
        KINDS[data](str(root), "test")
    assert len(str(caught.value).splitlines()) == 1


def test_the_parts_of_cars_are_read(spoilt):
    """The second layout, with a file for each split."""
    import mat4py

    root = spoilt("cars")
    (root / "cars_annos.mat").unlink()
    (root / "devkit").mkdir()
    file = root / "devkit/cars_test_annos_withlabels.mat"
    mat4py.savemat(str(file), {"annotations": {"fname": ["1.jpg", "2.jpg"], "class": [3, 1]}})
    assert labels(StanfordCars(str(root), "test")) == [3, 1]


@pytest.mark.parametrize("data", KINDS)
def test_errors_of_the_pipeline_are_not_those_of_the_files(fine_grained, data):
    init_default_scope("mmpretrain")
    flip = dict(type="RandomFlip", prob=[0.5, 0.9], direction=["horizontal", "vertical"])
    with pytest.raises(AssertionError):
        KINDS[data](str(fine_grained(data)), "test", pipeline=[flip])


def test_validation_is_evaluation(spoilt):
    root = spoilt("aircraft")
    shutil.copy(root / "data/images_variant_test.txt", root / "data/images_variant_val.txt")
    assert FGVCAircraft(str(root), "val").test_mode is True
    assert FGVCAircraft(str(root), "val", test_mode=False).test_mode is False


@pytest.mark.parametrize("data", KINDS)
def test_split_that_there_is_not(fine_grained, data):
    with pytest.raises(UserError, match="split must be one of .*'test'.*'validation'"):
        KINDS[data](str(fine_grained(data)), "validation")


def test_list_without_an_image_of_the_split(spoilt):
    root = spoilt("aircraft")
    (root / ANNOTATIONS["aircraft"]).write_text("")
    with pytest.raises(UserError, match="no image of the split 'test'"):
        FGVCAircraft(str(root), "test")


LAYOUTS = {
    "cub": "images/,images.txt,image_class_labels.txt",
    "aircraft": "data/{images/,images_variant_",
    "cars": "car_ims/,cars_annos.mat",
}


@pytest.mark.parametrize("data", LAYOUTS)
def test_absent_folder_is_refused_with_the_layout(repo, monkeypatch, tmp_path, data):
    cfg = load_config(str(repo / f"configs/finegrained/resnet50_gcp_{data}.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="train_dataloader.dataset.data_root") as caught:
        check_data(cfg, ("train_dataloader",))
    assert f"DATA_ROOT/{'{' * (data != 'aircraft')}{LAYOUTS[data]}" in str(caught.value)
