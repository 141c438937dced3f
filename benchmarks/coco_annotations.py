"""Time the check of an annotation file of COCO's size, which is made in memory.

It has as many images, annotations and coordinates as COCO's training set. Reading it as JSON is
what every tool has to do, the check comes on top. ``--untidy`` makes each annotation need repairs:
its area is missing, its crowd flag a boolean, its ids are text. Needs about 7 GB.
"""

from __future__ import annotations

import argparse
import json
import random
import time

from gcp_mm.datasets.coco_annotations import arrange_categories
from gcp_mm.datasets.coco_annotations.content import inspect_content
from gcp_mm.datasets.coco_annotations.load import without_collector

IMAGES, ANNOTATIONS, CATEGORIES = 118_287, 860_001, 80
COORDINATES = 54  # of an outline, on average
WIDTH, HEIGHT = 640, 480


def annotation(number: int, images: int, draw: random.Random) -> dict:
    """Return an object with an outline in its box, which it touches as COCO's do."""
    w, h = draw.uniform(2, 300), draw.uniform(2, 200)
    x, y = draw.uniform(0, WIDTH - w), draw.uniform(0, HEIGHT - h)
    points = 2 * draw.randrange(3, COORDINATES - 3)
    sides = ((x, w), (y, h)) * (points // 2)
    outline = [round(start + length * draw.random(), 2) for start, length in sides]
    outline[:4] = round(x, 2), round(y, 2), round(x + w, 2), round(y + h, 2)
    return dict(
        id=number + 1,
        image_id=number % images + 1,
        category_id=number % CATEGORIES + 1,
        bbox=[round(side, 2) for side in (x, y, w, h)],
        area=round(w * h / 2, 4),
        iscrowd=0,
        segmentation=[outline],
    )


def spoil(annotation: dict) -> None:
    """Write an annotation as no tool of COCO does, and as some exports do."""
    del annotation["area"]
    annotation["iscrowd"] = False
    for key in ("id", "image_id", "category_id"):
        annotation[key] = str(annotation[key])


def main() -> None:
    """Print the seconds of reading and of checking."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of COCO's size")
    parser.add_argument("--untidy", action="store_true", help="each annotation needs repairs")
    options = parser.parse_args()
    images, annotations = (int(options.share * n) for n in (IMAGES, ANNOTATIONS))
    draw = random.Random(0)
    with without_collector():
        content = dict(
            images=[
                dict(id=n + 1, file_name=f"{n + 1:012}.jpg", width=WIDTH, height=HEIGHT)
                for n in range(images)
            ],
            annotations=[annotation(n, images, draw) for n in range(annotations)],
            categories=[dict(id=n + 1, name=f"class {n + 1}") for n in range(CATEGORIES)],
        )
        if options.untidy:
            for entry in content["annotations"]:
                spoil(entry)
        text = json.dumps(content)
        del content
        start = time.perf_counter()
        content = json.loads(text)
        read, cpu_read = time.perf_counter(), time.process_time()
        findings = inspect_content(content, "in memory")
        findings.refuse_problems(with_masks=True)
        findings.apply(content)
        names = [category["name"] for category in content["categories"]]
        arrange_categories(content, names, "in memory", allow_missing=False)
        end, cpu_end = time.perf_counter(), time.process_time()
    print(
        f"{images} images, {annotations} annotations, {len(text) / 1e6:.0f} MB: read in "
        f"{read - start:.1f} s, checked in {end - read:.1f} s ({cpu_end - cpu_read:.1f} s of "
        "processor time)"
    )


if __name__ == "__main__":
    main()
