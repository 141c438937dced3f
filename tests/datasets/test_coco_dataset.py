"""Detection data are matched by name, compared with their images, and repaired or refused."""

import copy
import pickle

import numpy as np
import pytest
from coco_files import CLASSES, HEIGHT, WIDTH, reorder, write, write_coco
from mmcv.transforms import BaseTransform
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmdet.registry import TRANSFORMS
from PIL import Image

from gcp_mm.datasets import CocoDataset
from gcp_mm.datasets.coco_annotations import load
from gcp_mm.errors import UserError

pytestmark = pytest.mark.usefixtures("nothing_is_known")
PIPELINE = [
    dict(type="mmdet.LoadImageFromFile"),
    dict(type="mmdet.LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="mmdet.PackDetInputs", meta_keys=("img_id", "img_path")),
]


@pytest.fixture
def content(tmp_path):
    return write_coco(tmp_path)


@pytest.fixture
def build(tmp_path, content):
    # Imports what the pipeline names.
    assert TRANSFORMS.get("LoadImageFromFile") is not None

    def dataset(content=None, cls=CocoDataset, classes=CLASSES, pipeline=PIPELINE, **options):
        if content is not None:
            write(tmp_path, content)
        return cls(
            data_root=str(tmp_path),
            ann_file="annotations/instances_train2017.json",
            data_prefix=dict(img="train2017/"),
            metainfo=dict(classes=classes),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=pipeline,
            **options,
        )

    return dataset


def objects(dataset):
    """Return the name of each object of each image."""
    names = dataset.metainfo["classes"]
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [[names[i["bbox_label"]] for i in sample["instances"]] for sample in samples]


TRUTH = [["disk", "triangle"], ["triangle", "star"], ["star", "disk"], ["disk", "triangle"]]


def refused(build, content, *parts, **options):
    with pytest.raises(UserError) as error:
        build(content, **options)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def test_intact_file_is_read_as_upstream_reads_it(build, log):
    ours, theirs = build(), build(cls=MMDetCocoDataset)
    for index in range(4):
        assert ours.get_data_info(index) == theirs.get_data_info(index)
    assert objects(ours) == TRUTH
    assert log() == []


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("test_mode", [False, True])
def test_classes_go_by_name(build, content, order, test_mode, log):
    assert objects(build(reorder(content, order), test_mode=test_mode)) == TRUTH
    assert log() == []


def test_root_category_with_the_name_of_a_class(build, content, log):
    content["categories"].insert(0, dict(id=0, name="disk", supercategory="none"))
    assert objects(build(content)) == TRUTH
    (line,) = log()
    assert "2 categories are called 'disk' and count as one class" in line


NAMES = {
    "other names": dict(classes=("circle", "triangle", "star")),
    "capitals": dict(classes=("Disk", "triangle", "star")),
    "a blank": dict(classes=("disk", "triangle", "star ")),
    "one more": dict(classes=(*CLASSES, "ring")),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_differ_are_shown(build, name):
    classes = NAMES[name]["classes"]
    refused(
        build,
        None,
        f"metainfo.classes has {len(classes)} ({classes[0]!r}, {classes[1]!r}, {classes[2]!r}",
        "the file has 3 ('disk', 'triangle', 'star')",
        "metainfo=dict(classes=('disk', 'triangle', 'star'))",
        "num_classes=3",
        "instances_train2017.json",
        **NAMES[name],
    )


@pytest.mark.parametrize(("name", "pair"), [("capitals", "'Disk'"), ("a blank", "'star '")])
def test_names_that_nearly_agree_are_refused_in_an_evaluation_too(build, name, pair):
    refused(build, None, f"capitals or blanks: {pair} and", test_mode=True, **NAMES[name])


def test_forgotten_metainfo(content, tmp_path):
    with pytest.raises(UserError, match=r"metainfo.classes has 80 \('person', .*the file has 3 "):
        CocoDataset(
            data_root=str(tmp_path),
            ann_file=str(write(tmp_path, content)),
            data_prefix=dict(img="train2017/"),
            pipeline=PIPELINE,
        )


def test_metainfo_in_other_forms(build):
    refused(build, None, "'disk'", "with the comma", classes="disk")
    refused(build, None, "several times", classes=("disk", "disk", "star"))
    refused(build, None, "a set does not give it", classes=set(CLASSES))
    refused(build, None, "a dict does not give it", classes={"disk": 2, "triangle": 1, "star": 0})
    refused(build, None, "has 1, 2: write names as text", classes=("disk", 1, 2))


@pytest.mark.parametrize("prefix", ["train2017/", None, dict(img_path="train2017/"), {}])
def test_prefix_without_a_folder_of_images(tmp_path, prefix):
    with pytest.raises(UserError, match=r"data_prefix=.* write data_prefix=dict\(img='train2017/'"):
        CocoDataset(data_root=str(tmp_path), ann_file="a.json", data_prefix=prefix)


def test_class_that_the_file_lacks(build, content, log):
    content["annotations"] = [a for a in content["annotations"] if a["category_id"] != 2]
    del content["categories"][1]
    refused(build, content, "lacks 'triangle'", "allow_missing=True")
    expected = [[name for name in names if name != "triangle"] for names in TRUTH]
    assert objects(build(content, allow_missing=True)) == expected
    assert objects(build(content, test_mode=True)) == expected
    assert "has no category 'triangle': without objects" in log()[0]


def test_annotations_of_other_classes_are_counted(build, content, log):
    assert len(build(content, classes=("disk",))) == 3
    (line,) = log()
    assert "annotations of 'triangle' (3), 'star' (2) are left out" in line


def test_repair_is_one_line_and_the_file_stays(build, content, log, tmp_path):
    intact = build()
    for annotation in content["annotations"]:
        annotation["iscrowd"] = "0"
        del annotation["area"]
    path = write(tmp_path, content)
    before = path.read_bytes()
    for index, sample in enumerate(map(build().get_data_info, range(4))):
        assert sample == intact.get_data_info(index)
    (line,) = log()
    assert "iscrowd made 0 or 1 (annotation 1 and 7 more)" in line
    assert "area computed from the segmentation (annotation 1 and 7 more)" in line
    assert path.read_bytes() == before
    # A file that has been checked is not checked, or spoken of, again.
    build()
    assert len(log()) == 1


def test_size_is_taken_from_the_image_where_the_file_has_none(build, content, log):
    for image, value in zip(content["images"], (None, 0, "96", 96.0), strict=True):
        image["width"] = value
    del content["images"][0]["height"]
    dataset = build(content)
    for index in range(4):
        sample = dataset.get_data_info(index)
        assert (sample["width"], sample["height"]) == (WIDTH, HEIGHT)
    assert "taken from the images (image 1 and 1 more)" in log()[0]


def test_exchanged_width_and_height(build, content):
    for image in content["images"]:
        image["width"], image["height"] = image["height"], image["width"]
    for test_mode in (False, True):
        refused(
            build,
            content,
            "4 of 4 images looked at",
            "'train_",
            "has width 96, height 64, its entry says width 64, height 96: exchanged",
            test_mode=test_mode,
        )


def turn(path):
    """Store an image lying down, with the tag that stands it up, as cameras do."""
    exif = Image.Exif()
    exif[274] = 6
    image = Image.open(path).transpose(Image.Transpose.ROTATE_90)
    image.save(path, exif=exif)


def test_orientation_tag(build, content, tmp_path, log):
    for image in content["images"]:
        turn(tmp_path / "train2017" / image["file_name"])
    # The file speaks of the image that one sees, as the pipeline gives it.
    assert build(content)[0]["inputs"].shape == (3, HEIGHT, WIDTH)
    for image in content["images"]:
        image["width"], image["height"] = image["height"], image["width"]
    refused(build, content, "orientation tag", "color_type='color_ignore_orientation'")
    load = dict(type="mmdet.LoadImageFromFile", color_type="color_ignore_orientation")
    assert len(build(pipeline=[load, *PIPELINE[1:]])) == 4


@pytest.mark.parametrize("color", ["color", "color_ignore_orientation"])
@pytest.mark.parametrize("tag", [2, 3, 4])
def test_orientation_tag_that_sizes_cannot_confirm(build, tmp_path, log, color, tag):
    exif = Image.Exif()
    exif[274] = tag
    for number in (1, 2):
        path = tmp_path / f"train2017/train_{number}.png"
        Image.open(path).save(path, exif=exif)
    load = dict(type="mmdet.LoadImageFromFile", color_type=color)
    dataset = build(pipeline=[load, *PIPELINE[1:]])
    (line,) = log()
    how = "upright, as the tag says" if color == "color" else "without the tag"
    assert f"are read {how}; see that the boxes fit ('train_" in line
    assert f".png', tag {tag} and 1 more)" in line
    # What the line says is what the loader does.
    stored = np.asarray(Image.open(path))
    sample = dataset[2]["inputs"].numpy().transpose(1, 2, 0)[..., ::-1]
    turned = {2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1]}[tag]
    assert np.array_equal(sample, turned if color == "color" else stored)


NAMES_OF_FILES = {
    "composed": ("caf\u00e9 1.png", "cafe\u0301 1.png", "accents in file names"),
    "decomposed": ("cafe\u0301 1.png", "caf\u00e9 1.png", "accents in file names"),
    "quoted": ("my%20photo%20%281%29.png", "my photo (1).png", "percent signs in file names"),
    "windows": ("images\\caf\u00e9.png", "images/cafe\u0301.png", "accents in file names"),
}


@pytest.mark.parametrize("name", NAMES_OF_FILES)
def test_names_of_files_in_another_spelling(build, content, tmp_path, log, name):
    listed, stored, line = NAMES_OF_FILES[name]
    (tmp_path / "train2017/images").mkdir()
    (tmp_path / "train2017/train_0.png").rename(tmp_path / "train2017" / stored)
    content["images"][0]["file_name"] = listed
    sample = build(content, test_mode=True)[0]["data_samples"]
    assert sample.img_path.endswith(f"train2017/{stored}")
    assert line in log()[0]


def test_names_that_look_alike(build, content):
    content["categories"][0]["name"] = "cafe\u0301"
    parts = ("how accents are stored: ", "'caf\u00e9' and 'cafe\u0301'")
    refused(build, content, *parts, classes=("caf\u00e9", "triangle", "star"))


def test_size_of_each_image_is_compared_when_it_is_loaded(build, content, tmp_path, log):
    dataset, strict = build(test_mode=False), build(test_mode=True)
    path = tmp_path / "train2017" / "train_1.png"
    Image.new("RGB", (HEIGHT, WIDTH)).save(path)
    message = "image 2, 'train_1.png' has width 64, height 96, its entry says width 96, height 64"
    with pytest.raises(UserError, match=message):
        strict[1]
    assert dataset[1]["data_samples"].img_id != 2
    assert message in log()[0] and "1 of at most 10" in log()[0]


def test_truncated_image(build, tmp_path, log):
    path = tmp_path / "train2017" / "train_1.png"
    build()
    path.write_bytes(path.read_bytes()[:150])
    dataset, strict = build(), build(test_mode=True)
    with pytest.raises(UserError, match="train_1.png' cannot be read.*Evaluation skips no image"):
        strict[1]
    assert dataset[1]["data_samples"].img_id != 2
    assert "skipped" in log()[0] and "train_1.png" in log()[0]


def test_missing_images(build, content, tmp_path, log):
    (tmp_path / "train2017" / "train_1.png").unlink()
    refused(build, None, "1 of 4 images", "'train_1.png'", "skips no image", test_mode=True)
    refused(build, None, "1 of 4 images", "max_unreadable=0", max_unreadable=0)
    assert build()[1]["data_samples"].img_id != 2
    assert "skipped" in log()[0]
    for image in content["images"]:
        image["file_name"] = "train2017/" + image["file_name"]
    hint = "leave the folder out of file_name"
    refused(build, content, "4 of 4 images", hint, "'train2017/train_0.png'")
    for image in content["images"]:
        image["file_name"] = image["file_name"][10:-3] + "JPG"
    refused(build, content, "there is 'train_0.png'")


def test_images_that_only_the_loader_of_the_config_can_read(build, content, tmp_path):
    for image in content["images"]:
        path = tmp_path / "train2017" / image["file_name"]
        np.save(path.with_suffix(".npy"), np.asarray(Image.open(path)))
        image["file_name"] = path.with_suffix(".npy").name

    class LoadArray(BaseTransform):
        def transform(self, results):
            results["img"] = np.load(results["img_path"])
            results["img_shape"] = results["ori_shape"] = results["img"].shape[:2]
            return results

    dataset = build(content, pipeline=[LoadArray()], max_unreadable=0)
    assert len(dataset) == 4 and dataset[0]["img"].shape == (64, 96, 3)
    content["images"][0].update(width=64, height=96)
    refused(build, content, "1 of 4 images looked at have another size", pipeline=[LoadArray()])


def test_backslashes(build, content, tmp_path, log):
    (tmp_path / "train2017/sub").mkdir()
    for image in content["images"]:
        name = image["file_name"]
        (tmp_path / "train2017" / name).rename(tmp_path / "train2017/sub" / name)
        image["file_name"] = f"sub\\{name}"
    dataset = build(content)
    assert dataset[0]["data_samples"].img_path.endswith("train2017/sub/train_0.png")
    assert "backslashes in file names made slashes" in log()[0]


def test_nothing_to_learn(build, content):
    crowds = copy.deepcopy(content)
    for annotation in crowds["annotations"]:
        annotation["iscrowd"] = 1
    refused(build, crowds, "nothing to learn", "8 usable", "8 of them crowds")
    assert len(build(crowds, test_mode=True)) == 4
    refused(build, {**content, "annotations": []}, "nothing to learn", "0 usable")
    small = dict(filter_empty_gt=True, min_size=100)
    with pytest.raises(UserError, match="min_size': 100} keeps 0 images"):
        dataset = build(content, lazy_init=True)
        dataset.filter_cfg = small
        dataset.full_init()


def test_masks_are_needed_where_they_are_loaded(build, content):
    content["annotations"][3]["segmentation"] = []
    refused(build, content, "without segmentation", "annotation 4", "faster_rcnn")
    boxes = [PIPELINE[0], dict(type="mmdet.LoadAnnotations", with_bbox=True), PIPELINE[2]]
    assert len(build(pipeline=boxes)) == 4


def test_data_set_of_some_images(build):
    dataset = build(indices=2)
    assert len(dataset) == 2
    assert dataset[1]["inputs"].shape == (3, HEIGHT, WIDTH)


def test_other_processes_take_over_what_the_first_found(content, tmp_path, monkeypatch):
    for annotation in content["annotations"]:
        del annotation["area"]
    path = str(write(tmp_path, content))
    repaired, findings = load.load_annotations(path)
    load._checked.clear()
    as_sent = pickle.dumps((findings, True))
    monkeypatch.setattr(load, "on_first_process", lambda _: pickle.loads(as_sent))
    monkeypatch.setattr(load, "inspect_content", None)
    assert load.load_annotations(path)[0] == repaired
    assert all(annotation["area"] > 0 for annotation in repaired["annotations"])


def test_a_worker_process_asks_no_other_process(tmp_path, content, monkeypatch):
    monkeypatch.setattr(load, "on_first_process", None)
    monkeypatch.setattr(load, "get_worker_info", lambda: object())
    assert load.load_annotations(str(write(tmp_path, content)))[0] == content
