"""Files as annotation tools export them give the objects that were drawn, or are refused."""

import copy
import json

import pytest
from coco_files import CLASSES, HEIGHT, WIDTH, truth_as_predictions, write, write_coco
from pycocotools import mask as mask_utils

from gcp_mm.datasets import CocoDataset
from gcp_mm.datasets.coco_metric import CocoMetric
from gcp_mm.errors import UserError

pytestmark = pytest.mark.usefixtures("nothing_is_known")


@pytest.fixture
def intact(tmp_path):
    return write_coco(tmp_path, "val")


def shift(content, images=0, categories=0, annotations=0):
    """Count ids from another number."""
    for image in content["images"]:
        image["id"] += images
    for category in content["categories"]:
        category["id"] += categories
    for annotation in content["annotations"]:
        annotation["id"] += annotations
        annotation["image_id"] += images
        annotation["category_id"] += categories


def roboflow(c):
    """A root category, everything from 0, whole numbers."""
    shift(c, images=-1, annotations=-1)
    root = dict(id=0, name="shapes", supercategory="none")
    c["categories"] = [root, *[{**x, "supercategory": "shapes"} for x in c["categories"]]]
    for image in c["images"]:
        image.update(license=1, date_captured="2024-01-01", extra=dict(name=image["file_name"]))
    for a in c["annotations"]:
        a["bbox"] = [int(n) for n in a["bbox"]]


def cvat(c):
    """Bitmaps of a brush, which are exported as crowds or not; attributes; no date."""
    for image in c["images"]:
        image.update(license=0, flickr_url="", coco_url="", date_captured=0)
    for a in c["annotations"]:
        a["attributes"] = dict(occluded=False)
        run_lengths(a)


def run_lengths(a):
    mask = mask_utils.decode(mask_utils.frPyObjects(a["segmentation"], HEIGHT, WIDTH))[..., 0]
    counts, last = [], 0
    for pixel in mask.flatten(order="F").tolist():
        if pixel != last or not counts:
            counts += [0] * (not counts and pixel) + [0]
            last = pixel
        counts[-1] += 1
    a["segmentation"] = dict(size=[HEIGHT, WIDTH], counts=counts)


def label_studio(c):
    """No supercategory, backslashes, everything from 0, "ignore"."""
    shift(c, images=-1, categories=-1, annotations=-1)
    for x in c["categories"]:
        del x["supercategory"]
    for image in c["images"]:
        image["file_name"] = f"..\\val2017\\{image['file_name']}"
    for a in c["annotations"]:
        a["ignore"] = 0


def labelme(c):
    """A class for the background, and annotations counted from 0."""
    shift(c, annotations=-1)
    c["categories"].insert(0, dict(id=0, name="_background_", supercategory=None))
    for image in c["images"]:
        image.update(url=None, license=0, date_captured=None)


def via(c):
    """Text as ids of images, flat outlines, area as text."""
    for a in c["annotations"]:
        a.update(image_id=str(a["image_id"]), segmentation=a["segmentation"][0])
        a["area"] = str(a["area"])


def voc(c):
    """Names as ids of images, "ignore", no outlines' area."""
    for image in c["images"]:
        image["id"] = image["file_name"][:-4]
    for a in c["annotations"]:
        a.update(image_id=f"val_{a['image_id'] - 1}", ignore=0, area=a["bbox"][2] * a["bbox"][3])
    c["type"] = "instances"


def coco_annotator(c):
    """Boolean flags, and much else that nothing reads."""
    for image in c["images"]:
        image.update(path=f"/datasets/x/{image['file_name']}", category_ids=[], deleted=False)
        image.update(license=None, coco_url=None, num_annotations=2, metadata={})
    for a in c["annotations"]:
        a.update(iscrowd=False, isbbox=False, color="#1ab2f0", metadata={}, events=[])
    for x in c["categories"]:
        x.update(color="#fff", keypoint_colors=[], metadata={})


def fiftyone(c):
    """No flag of crowds, ids of categories from 0, no supercategory."""
    shift(c, categories=-1)
    for x in c["categories"]:
        x["supercategory"] = None
    for a in c["annotations"]:
        del a["iscrowd"]


def pandas(c):
    """Numbers with a point, which a table with gaps makes of whole ones."""
    for entry in [*c["images"], *c["categories"], *c["annotations"]]:
        entry.update({k: float(v) for k, v in entry.items() if k.endswith("id")})
    for image in c["images"]:
        image.update(width=96.0, height=64.0, license=float("nan"))
    for a in c["annotations"]:
        a.update(iscrowd=0.0, area=float("nan"))


def points(c):
    """Outlines as lists of points, no area."""
    for a in c["annotations"]:
        flat = a["segmentation"][0]
        a["segmentation"] = [list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
        del a["area"]


def merged(c):
    """Two exports in one: ids of annotations twice, one image listed twice."""
    for a in c["annotations"][4:]:
        a["id"] -= 4
    c["images"].append(dict(c["images"][0]))


def leaf(c):
    """A category that is its own root, under one name."""
    c["categories"].insert(0, dict(id=77, name="star", supercategory="none"))


def supervisely(c):
    """Points repeated at the end, coordinates one pixel beyond the box."""
    for a in c["annotations"]:
        part = a["segmentation"][0]
        a["segmentation"] = [[*part, *part[:2]]]
        a["caption"] = ""
        a["bbox"] = [a["bbox"][0] - 0.5, a["bbox"][1] - 0.5, *[n + 1 for n in a["bbox"][2:]]]


def text(c):
    """Every number as text."""
    for a in c["annotations"]:
        for key in ("id", "image_id", "category_id", "iscrowd", "area"):
            a[key] = str(a[key])
        a["bbox"] = [str(n) for n in a["bbox"]]
        a["segmentation"] = [[str(n) for n in a["segmentation"][0]]]
    for image in c["images"]:
        image.update(id=f"{image['id']:06}", width="96", height="64")
    for x in c["categories"]:
        x["id"] = str(x["id"])


def unlisted(c):
    """Annotations of the images that another file lists."""
    c["annotations"] += [{**a, "id": a["id"] + 50, "image_id": 900} for a in c["annotations"]]


EXPORTS = [
    *(roboflow, cvat, label_studio, labelme, via, voc, coco_annotator, fiftyone, pandas, points),
    *(merged, leaf, supervisely, text, unlisted),
]


def read(tmp_path, content, classes=CLASSES):
    path = write(tmp_path, content, "val")
    dataset = CocoDataset(
        ann_file=str(path),
        data_prefix=dict(img=str(tmp_path / "val2017")),
        metainfo=dict(classes=classes),
        pipeline=[dict(type="mmdet.LoadImageFromFile"), dict(type="mmdet.LoadAnnotations")],
        test_mode=True,
    )
    metric = CocoMetric(str(path), metric=["bbox", "segm"])
    metric.dataset_meta = dataset.metainfo
    return dataset, metric


@pytest.mark.parametrize("export", EXPORTS)
def test_truth_scores_one(tmp_path, intact, export):
    content = copy.deepcopy(intact)
    export(content)
    dataset, metric = read(tmp_path, content)
    samples = truth_as_predictions(intact)
    names = [dataset.get_data_info(index) for index in range(len(dataset))]
    for sample, info, image in zip(samples, names, intact["images"], strict=True):
        assert info["img_path"].endswith(image["file_name"])
        own = [a for a in intact["annotations"] if a["image_id"] == image["id"]]
        labels = [instance["bbox_label"] for instance in info["instances"]]
        assert labels == [a["category_id"] - 1 for a in own]
        sample["img_id"] = info["img_id"]
    metric.process({}, samples)
    scores = metric.evaluate(len(samples))
    for kind in ("bbox", "segm"):
        # The boxes of one export are a pixel larger than the outlines.
        assert scores[f"coco/{kind}_mAP_50"] == pytest.approx(1.0, abs=1e-6)
    if export is not supervisely:
        assert scores["coco/bbox_mAP"] == pytest.approx(1.0, abs=1e-6)


def no_label(c):
    """What VIA writes where a label was text."""
    c["annotations"][1]["category_id"] = None


def addresses(c):
    for image in c["images"]:
        image["file_name"] = f"https://h/upload/{image['file_name']}"


def exchanged(c):
    """What Label Studio writes for photographs on their side."""
    for image in c["images"]:
        image.update(width=HEIGHT, height=WIDTH)


def renumbered(c):
    """Two exports in one, each of which counts its images from 1."""
    c["images"] += [{**image, "file_name": f"b/{image['file_name']}"} for image in c["images"]]


def captions(c):
    c["annotations"] = [dict(id=1, image_id=1, caption="a disk")]


def boxes_alone(c):
    for a in c["annotations"]:
        a["segmentation"] = []


REFUSED = [
    (no_label, "category_id None"),
    (addresses, "leave the folder out of file_name"),
    (exchanged, "exchanged"),
    (renumbered, "several images have the same id"),
    (captions, "annotations need the id of a category of the file"),
    (boxes_alone, "annotations without segmentation, which masks need"),
]


@pytest.mark.parametrize(("export", "message"), REFUSED)
def test_what_cannot_be_right_is_refused(tmp_path, intact, export, message):
    export(intact)
    with pytest.raises(UserError) as error:
        read(tmp_path, json.loads(json.dumps(intact)))
    assert message in str(error.value) and "\n" not in str(error.value)
