"""Draw the predictions of a test into files, one for each image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from gcp_mm.engine.run_state import unwrapped
from gcp_mm.errors import UserError
from gcp_mm.first_process import warn
from gcp_mm.images.read_image import read_image
from gcp_mm.registry import HOOKS

# What OpenMMLab's own hooks take beside how to draw.
_NOT_DRAWING = ("type", "enable", "interval", "out_dir", "draw", "test_out_dir", "backend_args")
# Endings that a drawn image keeps; others get .png behind them.
_WRITTEN = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@HOOKS.register_module()
class ShowDirHook(Hook):
    """Writes each test image with its prediction to ``OUT_DIR/<place below the data's folder>``.

    The hooks of mmpretrain and mmdet write by base name alone, so that images of the same name in
    several folders replace each other. It draws with the visualizer of the config, a classifier's
    or a detector's.

    Args:
        out_dir: Folder of the drawn images.
        **options: Of the config's visualization hook, such as ``score_thr`` of a detector or
            ``draw_score`` of a classifier.
    """

    def __init__(self, out_dir: str, **options: Any) -> None:
        self.out_dir = Path(out_dir)
        self.options = {key: value for key, value in options.items() if key not in _NOT_DRAWING}
        if "score_thr" in self.options:
            self.options["pred_score_thr"] = self.options.pop("score_thr")
        self._root = ""
        # The image that a drawn file is of.
        self._used: dict[str, str] = {}

    def before_test(self, runner: Runner) -> None:
        """Find the folder that all images lie in."""
        dataset = runner.test_dataloader.dataset
        try:
            infos = (dataset.get_data_info(index) for index in range(len(dataset)))
            folders = {str(Path(_absolute(info["img_path"])).parent) for info in infos}
            self._root = os.path.commonpath(folders)
        except (AttributeError, KeyError, ValueError):
            # Data sets of other kinds, and drives without a common folder.
            self._root = ""
        if self._root and self.out_dir.resolve() == Path(self._root).resolve():
            raise UserError(
                f"--show-dir {str(self.out_dir)!r} holds the images themselves, which the drawn "
                "ones would replace: choose another folder"
            )
        if get_world_size() > 1:
            warn(
                "--show-dir draws the images of the first of several processes alone, as "
                "OpenMMLab's visualizers do: evaluate with one process to see all"
            )

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence
    ) -> None:
        """Draw a batch."""
        visualizer = runner.visualizer
        classifies = hasattr(visualizer, "visualize_cls")
        for index, sample in enumerate(outputs):
            path = sample.get("img_path")
            name = path or f"{batch_idx}_{index}"
            settings = {**self.options, "out_file": str(self._file(name))}
            if classifies:
                image = data_batch["inputs"][index].permute(1, 2, 0).cpu().numpy()
                if getattr(unwrapped(runner.model).data_preprocessor, "to_rgb", False):
                    # Pipelines give blue first, and visualizers take red first.
                    image = image[..., ::-1]
                image = np.ascontiguousarray(image).astype(np.uint8)
                visualizer.visualize_cls(image=image, data_sample=sample, name=name, **settings)
            else:
                image = _stored_as(path, sample.get("ori_shape"))
                visualizer.add_datasample(name, image, data_sample=sample, **settings)

    def _file(self, path: str) -> Path:
        """Choose the file of an image, another one for every image."""
        absolute = _absolute(path)
        inside = self._root and os.path.commonpath([absolute, self._root]) == self._root
        place = os.path.relpath(absolute, self._root) if inside else Path(path).name
        if not place.lower().endswith(_WRITTEN):
            place = f"{place}.png"
        file, number = place, 1
        while self._used.setdefault(file, absolute) != absolute:
            file, number = f"{Path(place).with_suffix('')}_{number}{Path(place).suffix}", number + 1
        return self.out_dir / file


def _absolute(path: str) -> str:
    """Take an address as a path below its scheme."""
    path = f"/{path.partition('://')[2]}" if "://" in path else path
    return os.path.normpath(Path(path).absolute())


def _stored_as(path: str, shape: Sequence[int] | None) -> np.ndarray:
    """Read an image in the shape that the pipeline has seen, turned or not."""
    image = read_image(path)
    if shape is not None and tuple(image.shape[:2]) != tuple(shape[:2]):
        return read_image(path, ignore_orientation=True)
    return image
