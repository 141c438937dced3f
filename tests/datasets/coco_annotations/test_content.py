"""What cannot be right is refused with the file, the entry and the remedy."""

import copy
import gzip
import json
import math
import random

import pytest
from coco_files import outline, write, write_coco

from gcp_mm.datasets.coco_annotations import load_annotations
from gcp_mm.datasets.coco_annotations.content import inspect_content
from gcp_mm.errors import UserError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp("coco"))


@pytest.fixture
def intact(written):
    return copy.deepcopy(written)


@pytest.fixture
def content(written):
    return copy.deepcopy(written)


def problems(content, with_masks=True, **options):
    """Return the message that refuses a content, or an empty text."""
    try:
        inspect_content(content, "a.json").refuse_problems(with_masks, **options)
    except UserError as error:
        assert "\n" not in str(error) and str(error).startswith("'a.json': ")
        return str(error)
    return ""


def test_intact_content_passes_unchanged(content, intact):
    findings = inspect_content(content, "a.json")
    assert not findings.is_changed and findings.summary() == [] and content == intact


def run_lengths(a, **changes):
    a["segmentation"] = {"size": [64, 96], "counts": [0, 64 * 96], **changes}


ANNOTATION = {
    "no image": (lambda a: a.pop("image_id"), "annotations need an image_id (annotation 3 has"),
    "unknown category": (
        lambda a: a.update(category_id=12),
        "annotations need the id of a category of the file (1, 2, 3) (annotation 3 has "
        "category_id 12)",
    ),
    "null category": (lambda a: a.update(category_id=None), "category_id None"),
    # Python takes it for 1, which is a category of the file.
    "true category": (lambda a: a.update(category_id=True), "category_id True"),
    "three numbers": (lambda a: a.update(bbox=[1, 2, 3]), "bbox has to be four numbers"),
    "text": (lambda a: a.update(bbox="1234"), "annotation 3: '1234'"),
    "not a number": (lambda a: a.update(bbox=[1, float("nan"), 3, 4]), "bbox has to be four"),
    "negative": (lambda a: a.update(bbox=[50, 40, -20, 10]), "are negative (annotation 3: [50,"),
    "outside": (
        lambda a: a.update(bbox=[200, 5, 20, 10]),
        "boxes outside of their image; a bbox is [x, y, width, height] in pixels (annotation 3: "
        "[200, 5, 20, 10] in an image of 96 x 64)",
    ),
    "neither box nor mask": (lambda a: a.update(bbox=None, segmentation=None), "has neither"),
    "crowd flag": (lambda a: a.update(iscrowd=2), "iscrowd has to be 0 or 1 (annotation 3 has 2)"),
    "ignore flag": (lambda a: a.update(ignore="perhaps"), "ignore has to be 0 or 1"),
}


@pytest.mark.parametrize("name", ANNOTATION)
@pytest.mark.parametrize("with_masks", [False, True])
def test_annotations_that_cannot_be_right(content, name, with_masks):
    change, message = ANNOTATION[name]
    change(content["annotations"][2])
    assert message in problems(content, with_masks)


MASKS = {
    "null": (lambda a: a.update(segmentation=None), "annotations without segmentation"),
    "missing": (lambda a: a.pop("segmentation"), "annotations without segmentation"),
    "odd": (lambda a: a["segmentation"][0].pop(), "has a polygon of an odd count of numbers (9)"),
    "two points": (lambda a: a.update(segmentation=[[1, 2, 3, 4]]), "at least three points"),
    "text": (lambda a: a["segmentation"][0].__setitem__(0, "x"), "that is no number"),
    "not a number": (
        lambda a: a["segmentation"][0].__setitem__(0, float("nan")),
        "coordinates far outside",
    ),
    "wild": (lambda a: a["segmentation"][0].__setitem__(0, 1e9), "coordinates far outside"),
    "fractions": (lambda a: a.update(segmentation=[[0.1] * 2, [0.4, 0.1], [0.3] * 2]), "lie outs"),
    "elsewhere": (lambda a: a.update(segmentation=[outline(70, 40, 9)]), "lie outside of their"),
    "exchanged size": (
        lambda a: run_lengths(a, size=[96, 64]),
        "has size [96, 64], but its image has height 64, width 96",
    ),
    "short": (lambda a: run_lengths(a, counts=[5, 5]), "run lengths of 10 pixels"),
    "damaged": (lambda a: run_lengths(a, counts="\x05!!"), "counts that are no run lengths"),
    "cut": (lambda a: run_lengths(a, counts="P"), "counts that end within a number"),
    "no counts": (lambda a: run_lengths(a, counts=None), "has no counts"),
    "other": (lambda a: a.update(segmentation="mask.png"), "is of type str"),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_that_cannot_be_right(content, name):
    change, message = MASKS[name]
    change(content["annotations"][2])
    found = problems(copy.deepcopy(content))
    assert message in found and "annotation 3" in found
    # Nothing reads them in a detector without masks.
    assert problems(content, with_masks=False) == ""


def test_run_lengths_need_bitmaps(content):
    run_lengths(content["annotations"][2])
    assert problems(copy.deepcopy(content)) == ""
    assert "set poly2mask=True" in problems(content, polygons_only=True)


def set_boxes(content, change):
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        annotation["bbox"] = change(x, y, w, h)
        annotation["segmentation"] = None


def test_boxes_in_another_convention(content):
    corners, fractions = copy.deepcopy(content), copy.deepcopy(content)
    set_boxes(corners, lambda x, y, w, h: [x, y, x + w, y + h])
    assert "boxes are [x1, y1, x2, y2]" in problems(corners, with_masks=False)
    set_boxes(fractions, lambda x, y, w, h: [x / 96, y / 64, w / 96, h / 64])
    assert "boxes are fractions of the image" in problems(fractions, with_masks=False)


IMAGES = {
    "no name": (lambda c: c["images"][1].pop("file_name"), "file_name (image 2, entry 1, has None"),
    "no id": (lambda c: c["images"][1].pop("id"), "image ids have to be whole numbers (entry 1"),
    "mixed ids": (lambda c: c["images"][1].update(id="b"), "entry 1 of images has 'b'"),
    "same id": (lambda c: c["images"][1].update(id=1), "id 1: 'train_0.png' and 'train_1.png'"),
    "none": (lambda c: c["images"].clear(), "the list of images is empty"),
    "a number": (lambda c: c["images"].append(3), "an entry of images is no object"),
    "no category": (lambda c: c["categories"].clear(), "the list of categories is empty"),
    "no category id": (lambda c: c["categories"][0].pop("id"), "entry 0 of categories has None"),
    "no category name": (lambda c: c["categories"][0].pop("name"), "each category needs its name"),
    "category twice": (lambda c: c["categories"][0].update(id=2), "id 2: 'disk' and 'triangle'"),
    "annotation": (lambda c: c["annotations"].append([]), "an annotation is no object (entry 8"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_and_categories_that_cannot_be_right(content, name):
    change, message = IMAGES[name]
    change(content)
    assert message in problems(content)


REPAIRS = {
    "image there twice": (
        lambda c: c["images"].append(dict(c["images"][0])),
        "entries of images that are there twice left out (image 1)",
    ),
    "annotation there twice": (
        lambda c: c["annotations"].append(dict(c["annotations"][0])),
        "annotations that are there twice left out (annotation 1)",
    ),
    "ids as text": (
        lambda c: [entry.update(id=f"{entry['id']:03}") for entry in c["images"]],
        "ids of images made whole numbers",
    ),
    "category ids as text": (
        lambda c: [entry.update(id=str(entry["id"])) for entry in c["categories"]],
        "ids of categories made whole numbers",
    ),
    "category with a point": (
        lambda c: c["annotations"][0].update(category_id=float(c["annotations"][0]["category_id"])),
        "category_id made a whole number (annotation 1)",
    ),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_repaired_content_is_the_intact_one(content, intact, name):
    change, line = REPAIRS[name]
    change(content)
    findings = inspect_content(content, "a.json")
    findings.apply(content)
    assert content == intact
    assert line in findings.summary()[0]


def test_side_that_is_true_is_made_a_number(content):
    annotation = content["annotations"][2]
    annotation.update(bbox=[5.0, 5.0, True, True], segmentation=[outline(5, 5, 1)], area=0.5)
    assert "bbox made numbers (annotation 3)" in inspect_content(content, "a.json").summary()[0]


def test_another_process_repeats_the_repair(content):
    for annotation in content["annotations"]:
        del annotation["area"]
        annotation.update(iscrowd=False, id=0)
    content["annotations"][2]["image_id"] = 99
    as_read = copy.deepcopy(content)
    findings = inspect_content(content, "a.json")
    findings.apply(content)
    findings.apply(as_read)
    assert content == as_read
    assert [a["id"] for a in content["annotations"]] == list(range(1, 8))
    assert "annotations of images that the file does not list left out" in findings.summary()[0]


def test_ids_that_are_text_throughout_stay(content):
    for image in content["images"]:
        image["id"] = f"photo {image['id']}"
    for annotation in content["annotations"]:
        annotation["image_id"] = f"photo {annotation['image_id']}"
    assert not inspect_content(content, "a.json").is_changed


def test_area_is_that_of_the_outline(content, intact):
    for annotation in content["annotations"]:
        annotation["area"] = None
    inspect_content(content, "a.json")
    assert content == intact
    # Of run lengths, the number of pixels; of an outline that crosses itself, at least something.
    first, second = content["annotations"][:2]
    run_lengths(first, counts=[10, 30, 64 * 96 - 40])
    x, y, w, h = second["bbox"]
    second["segmentation"] = [[x, y, x + w, y + h, x + w, y, x, y + h]]
    first["area"] = second["area"] = None
    inspect_content(content, "a.json")
    assert first["area"] == 30
    assert second["area"] == pytest.approx(w * h / 2, rel=0.1)


@pytest.mark.parametrize("split", ["train", "val"])
def test_areas_of_coco_itself(shared, split):
    """They are those within the outlines, not counts of pixels, and its boxes are those around."""
    content = json.loads(
        (shared / f"data/coco354/annotations/instances_{split}2017.json").read_text()
    )
    intact = copy.deepcopy(content)
    findings = inspect_content(content, "coco.json")
    assert not findings.is_changed and not findings.remarks
    for annotation in content["annotations"]:
        annotation["area"] = None
    assert not problems(content)
    for ours, theirs in zip(content["annotations"], intact["annotations"], strict=True):
        # The file has the area of a crowd that its run lengths do not have.
        if isinstance(ours["segmentation"], list):
            assert ours["area"] == pytest.approx(theirs["area"], rel=1e-6)


def test_area_beyond_the_box(content, intact):
    """As it is left where images and boxes were made smaller, and areas were not."""
    content["annotations"][2]["area"] *= 100
    findings = inspect_content(content, "a.json")
    assert content == intact
    assert (
        "computed from the segmentation where it was larger than the bbox" in findings.summary()[0]
    )


BEYOND_EVERY_FLOAT = {
    "left edge": (lambda a: a["bbox"].__setitem__(0, 10**400), "bbox has to be four numbers"),
    "width": (lambda a: a["bbox"].__setitem__(2, 10**400), "bbox has to be four numbers"),
    "coordinate": (
        lambda a: a["segmentation"][0].__setitem__(0, 10**400),
        "the segmentation has a coordinate that is no number",
    ),
    "size of run lengths": (
        lambda a: a.update(segmentation={"size": [math.inf, 1], "counts": [1]}),
        "the segmentation has no size",
    ),
    "edge that is written with a point": (
        lambda a: a["bbox"].__setitem__(0, math.inf),
        "bbox has to be four numbers",
    ),
}


@pytest.mark.parametrize("name", BEYOND_EVERY_FLOAT)
def test_numbers_beyond_every_float_are_refused(content, name):
    change, message = BEYOND_EVERY_FLOAT[name]
    change(content["annotations"][2])
    assert message in problems(content)


def test_area_beyond_every_float_is_computed(content, intact):
    content["annotations"][2]["area"] = 10**400
    assert inspect_content(content, "a.json").is_changed
    assert content == intact


def enlarge(annotation, content):
    x, y, w, h = annotation["bbox"]
    annotation["bbox"] = [x - 4, y - 4, w + 8, h + 8]


def centred(annotation, content):
    x, y, w, h = annotation["bbox"]
    annotation["bbox"] = [x + w / 2, y + h / 2, w, h]


def corners_within(annotation, content):
    """Corners in an image so wide that no box of them reaches beyond it."""
    x, y, w, h = annotation["bbox"]
    annotation["bbox"] = [x, y, x + w, y + h]
    for image in content["images"]:
        image.update(width=400, height=400)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (enlarge, ""),
        (
            centred,
            "boxes are [centre x, centre y, width, height]; COCO's are [x, y, width, height]",
        ),
        (corners_within, "boxes are [x1, y1, x2, y2]; COCO's are [x, y, width, height]"),
    ],
)
def test_boxes_are_compared_with_their_outlines(content, change, message):
    for annotation in content["annotations"]:
        change(annotation, content)
    findings = inspect_content(copy.deepcopy(content), "a.json")
    assert message in problems(content)
    assert (
        "boxes that are not those around their masks (annotation 1: bbox" in findings.summary()[-1]
    )


DOUBTS = {
    "crowds": (
        lambda c: [a.update(iscrowd=1) for a in c["annotations"][2:]],
        "6 of 8 annotations are crowds (iscrowd 1), which training leaves out and evaluation does "
        "not count: set iscrowd to 0 where they are objects (the first is annotation 3)",
    ),
    "copies": (
        lambda c: c["annotations"].extend([{**a, "id": a["id"] + 9} for a in c["annotations"]]),
        "8 of 16 annotations repeat the box and the class of another one",
    ),
    "one area": (
        lambda c: [
            *[c["annotations"].append({**a, "id": a["id"] + 9}) for a in c["annotations"][:2]],
            *[a.update(area=1) for a in c["annotations"]],
        ],
        "all objects have the area 1, by which small, medium and large ones are told apart",
    ),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_what_changes_numbers_without_being_wrong(content, name):
    change, line = DOUBTS[name]
    change(content)
    findings = inspect_content(content, "a.json")
    assert not findings.problems and not findings.is_changed
    assert line in findings.summary()[0]


def test_crowds_of_images_that_are_not_listed_are_no_doubt(content):
    content["annotations"][0].update(image_id=99, iscrowd=1)
    del content["annotations"][1:]
    findings = inspect_content(content, "a.json")
    assert findings.dropped == {"annotations": {0}} and not findings.remarks


def test_objects_of_no_extent_stay_as_coco_has_them(content, intact):
    for entry in (content, intact):
        entry["annotations"][2].update(bbox=[5.0, 5.0, 3.0, 0.0], area=0.0, segmentation=None)
    findings = inspect_content(content, "a.json")
    assert content == intact
    assert "boxes without extent" in findings.summary()[0]


FILES = {
    "empty": (b"", "it is empty"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "compressed": (gzip.compress(b"{}"), "gunzip it"),
    "a page": (b"<html>", "a web page"),
    "cut": (b'{"images": [', "no JSON"),
    "nested": (b"[" * 100000, "no JSON"),
    "a list": (b"[]", "it holds a list"),
    "other lists": (b'{"shapes": []}', "no list 'images' (found: 'shapes')"),
    "no categories": (b'{"images": [], "annotations": []}', "no list 'categories'"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_annotation_file(tmp_path, name):
    data, message = FILES[name]
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(UserError) as error:
        load_annotations(str(path))
    assert message in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings(tmp_path, content, intact, encoding):
    path = write(tmp_path, content)
    path.write_bytes(json.dumps(content).encode(encoding))
    assert load_annotations(str(path))[0] == intact


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="does not exist.*ann_file"):
        load_annotations(str(tmp_path / "absent.json"))
    with pytest.raises(UserError, match="is a folder"):
        load_annotations(str(tmp_path))


VALUES = [None, True, -1, 0, 2.5, float("nan"), "", "1", "x", [], {}, [[]], [1, 2, 3, 4], {"a": 1}]


def paths(value, path=()):
    """Yield where something is in a content."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, (dict, list)):
            yield from paths(item, (*path, key))


@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_file_says_is_repaired_or_refused(intact, seed):
    draw = random.Random(seed)
    outcomes = set()
    for _ in range(100):
        content = copy.deepcopy(intact)
        for _ in range(draw.choice([1, 1, 2])):
            *parents, key = draw.choice([p for p in paths(content) if 1 < len(p) < 5])
            place = content
            for parent in parents:
                place = place[parent]
            place[key] = copy.deepcopy(draw.choice(VALUES))
        findings = inspect_content(content, "a.json")
        try:
            findings.refuse_problems(with_masks=True)
        except UserError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
            continue
        findings.apply(content)
        again = inspect_content(content, "a.json")
        # What was repaired needs no repair.
        assert not again.is_changed and not again.problems
        outcomes.add("repaired" if findings.is_changed else "as it was")
    assert outcomes == {"refused", "repaired", "as it was"}


def test_many_annotations_of_one_id_take_no_longer_than_others(content):
    """A comparison of each with each would take hours."""
    first = content["annotations"][0]
    content["annotations"] = [{**first, "id": 7, "note": number} for number in range(20_000)]
    content["annotations"].append({**first, "id": 7, "note": 3})
    findings = inspect_content(content, "a.json")
    assert findings.renumber and not problems(content)
    assert len(findings.dropped["annotations"]) == 1


def test_long_check_shows_how_far_it_is(content, impatient, capsys):
    number = len(content["annotations"])
    inspect_content(content, "val.json")
    errors = capsys.readouterr().err
    assert "checking the annotations of 'val.json':\n" in errors
    assert f"] {len(content['images'])}/" in errors and f"] {number}/{number}, " in errors
