"""The main job at small scale: pretrain a GCP classifier, then train a detector from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from demo.digits import write_digits
from demo.scenes import write_scenes
from gcp_mm.engine.runner import latest_checkpoint
from gcp_mm.errors import UserError

# The demo runs the tools of the source tree, from whatever folder it is started.
TREE = Path(os.path.relpath(Path(__file__).resolve().parents[1]))
TRAIN, TEST = str(TREE / "tools" / "train.py"), str(TREE / "tools" / "test.py")
CLASSIFIER = str(TREE / "configs" / "demo" / "resnet18_gcp_digits.py")
DETECTOR = str(TREE / "configs" / "demo" / "mask_rcnn_r18_gcpm_scenes.py")

# What the detector has to reach on held-out images for the demo to count as learned.
MIN_BOX_AP50 = 0.60
MIN_MASK_AP50 = 0.50


def _tool(*arguments: str) -> None:
    """Run a tool as a user would, and show the command."""
    print(f"\n$ python {' '.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, *arguments]).returncode
    if code:
        raise UserError(
            f"the command above failed with exit code {code}; its last lines say why. "
            "`make demo` continues where it stopped"
        )


def _metrics(folder: Path) -> dict[str, float]:
    """Read the metrics of the latest evaluation in a work folder."""
    newest = max(folder.glob("*/*.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(newest.read_text().splitlines()[-1])


def _train_in(folder: Path) -> list[str]:
    """Return the options that train in a folder, from where an earlier run of it stopped."""
    begun = latest_checkpoint(folder) is not None
    return ["--work-dir", str(folder), *(["--resume"] if begun else [])]


def write_montage(pictures: Sequence[Path], target: Path, columns: int = 2) -> Path:
    """Put pictures of one size side by side, row by row."""
    if len(pictures) < columns:
        raise UserError(f"a row of {columns} pictures is needed, got {len(pictures)}")
    images = [cv2.imread(str(path)) for path in pictures]
    rows = [
        np.hstack(images[start : start + columns])
        for start in range(0, len(images) - columns + 1, columns)
    ]
    if not cv2.imwrite(str(target), np.vstack(rows)):
        raise UserError(f"could not write {target}; is its folder writable?")
    return target


def run_demo(data_root: str, work_dir: str) -> None:
    """Make the data, train both networks, evaluate and draw; every step is a tool's command line.

    A run that was interrupted is continued, a finished one is only evaluated again.
    """
    start = time.monotonic()
    data, work = Path(data_root), Path(work_dir)
    digits, scenes = data / "digits", data / "scenes"

    print("[1/5] data: scikit-learn's handwritten digits, and generated scenes", flush=True)
    print(f"      {digits}: {write_digits(digits)}")
    print(f"      {scenes}: {write_scenes(scenes)}")

    print("\n[2/5] train the GCP classifier")
    _tool(
        *(TRAIN, CLASSIFIER, *_train_in(work / "classifier")),
        *("--cfg-options", f"train_dataloader.dataset.data_root={digits}"),
        f"val_dataloader.dataset.data_root={digits}",
    )

    print("\n[3/5] train Mask R-CNN with the classifier as its GCPM backbone")
    pretrained = latest_checkpoint(work / "classifier")
    _tool(
        *(TRAIN, DETECTOR, *_train_in(work / "detector")),
        *("--cfg-options", f"model.backbone.init_cfg.checkpoint={pretrained}"),
        f"train_dataloader.dataset.data_root={scenes}",
    )

    print("\n[4/5] evaluate box and mask AP on held-out images, and draw the predictions")
    _tool(
        *(TEST, DETECTOR, latest_checkpoint(work / "detector")),
        *("--work-dir", str(work / "evaluation"), "--show-dir", str(work / "predictions")),
        *("--cfg-options", f"test_dataloader.dataset.data_root={scenes}"),
        f"test_evaluator.ann_file={scenes}/annotations/instances_val2017.json",
    )
    metrics = _metrics(work / "evaluation")
    box, mask = metrics["coco/bbox_mAP_50"], metrics["coco/segm_mAP_50"]

    picture = write_montage(sorted((work / "predictions").glob("*.jpg"))[:6], work / "picture.png")
    print("\n[5/5] picture, left the truth and right the predicted boxes and masks:")
    print(f"      {picture.resolve()}")
    minutes, seconds = divmod(round(time.monotonic() - start), 60)
    print(f"\nbox AP50 {box:.3f}, mask AP50 {mask:.3f}, after {minutes} min {seconds} s")
    print(f"results: {picture}, checkpoints and logs in {work}", flush=True)
    if box < MIN_BOX_AP50 or mask < MIN_MASK_AP50:
        raise UserError(
            f"the detector did not learn: expected box AP50 >= {MIN_BOX_AP50} and mask AP50 >= "
            f"{MIN_MASK_AP50}. Remove {work} and run the demo again; if it stays so, please "
            "report the output of `python -m gcp_mm.doctor`"
        )
