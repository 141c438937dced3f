"""Evaluate a network on ImageNet-C or ImageNet-P, cell after cell, resumable at each."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, get_rank
from torch import Tensor, cuda

from gcp_mm.checkpoints.loader import find_checkpoint
from gcp_mm.console.progress import Progress
from gcp_mm.engine.loader_workers import workers_end_with_errors
from gcp_mm.first_process import log, on_first_process
from gcp_mm.robustness.data.video_clip import has_strict_decoder, require_length
from gcp_mm.robustness.evaluation.loader import Part, read_parts, share
from gcp_mm.robustness.evaluation.options import Options, make_settings
from gcp_mm.robustness.evaluation.predictions import count_right, top5_of_clips
from gcp_mm.robustness.evaluation.prepare import Prepared, prepare
from gcp_mm.robustness.evaluation.result import ResultFile, only_writer, versions
from gcp_mm.robustness.evaluation.result_form import CLEAN
from gcp_mm.robustness.evaluation.top5_file import Top5, top5_path, write_top5
from gcp_mm.robustness.measures.baseline import load_baseline
from gcp_mm.robustness.measures.perturbation_robustness import measure_clips
from gcp_mm.robustness.names import DIFFICULTIES, IS_NOISE, PERTURBATIONS, folder_name


def evaluate(cfg: Config, checkpoint: str | Path, options: Options) -> dict[str, Any]:
    """Measure the cells that the result file lacks.

    After each cell the file is replaced by a longer one, so that a run which is killed continues
    where it was. All processes of a launcher work on the same cell.
    """
    # Read once: the numbers are those of the digest in the settings, whatever becomes of the file.
    options = replace(options, baseline=load_baseline(options.baseline, options.dataset))
    checkpoint = find_checkpoint(checkpoint)
    prepared = prepare(cfg, checkpoint, options)
    settings = on_first_process(lambda: make_settings(cfg, checkpoint, options, prepared.tree))
    with only_writer(options.out):
        file = on_first_process(
            lambda: ResultFile(options.out, options.dataset, options.name, settings)
        )
        Evaluation(prepared, options, file).run()
        # No process ends while another one still talks to it.
        barrier()
    return file.content


class Evaluation:
    """The cells that are left to do, and the result file that gets them."""

    def __init__(self, prepared: Prepared, options: Options, file: ResultFile) -> None:
        self.prepared, self.options, self.file = prepared, options, file
        wanted = dict.fromkeys(prepared.tree.cells, prepared.tree.num_items)
        done = set(file.cells)
        # What tells images without corruption from others.
        self._clean: dict[str, Any] = {}
        if prepared.clean:
            number = len(prepared.clean.labels)
            self._clean = {
                "source": options.clean_source,
                "sha256": prepared.clean.sha256,
                "files": number,
            }
            wanted = {CLEAN: number, **wanted}
            if not _same_images(self._clean, file.cells.get(CLEAN, {})):
                done.discard(CLEAN)
        self.sizes = wanted
        self.is_clips = options.dataset == "imagenet-p"
        if self.is_clips:
            # Measured again, a clip that is too short is named.
            asked = str(options.difficulty)
            done = {cell for cell in done if asked in file.cells[cell]["difficulty"]}
        batch = 1 if self.is_clips else options.batch_size
        self.parts = [
            Part(cell, share(number, options.shard), batch)
            for cell, number in wanted.items()
            if cell not in done
        ]

    def run(self) -> None:
        """Measure cell after cell, with one loader for all."""
        if not self.parts:
            # Measures may be asked for relative to another baseline.
            self._save()
            return
        prepared = self.prepared
        where = prepared.classifier.device
        name = cuda.get_device_name(where) if where.type == "cuda" else where.type
        environment: dict[str, list] = {"device": [name], "batch_size": [self.options.batch_size]}
        on_first_process(lambda: self.file.measured_with(versions(self.is_clips), environment))
        if self.is_clips and not has_strict_decoder():
            log(
                "PyAV is not installed: damage inside of a clip is seen only where it changes the "
                "number of frames (pip install av)"
            )
        clean = prepared.clean.data if prepared.clean else None
        batches = read_parts(prepared.tree, clean, self.parts, self.options.workers)
        number = sum(len(part.indices) for part in self.parts)
        with workers_end_with_errors(), Progress(number) as progress:
            for part in self.parts:
                start = time.perf_counter()
                measure = self._clips if self.is_clips else self._images
                found = measure(part, batches, progress)
                found["seconds"] = round(time.perf_counter() - start, 3)
                self.file.cells[part.cell] = found
                self._save()
                progress.say(_describe(part.cell, found))

    def _images(self, part: Part, batches: Iterator[Tensor], progress: Progress) -> dict[str, Any]:
        clean = self.prepared.clean if part.cell == CLEAN else None
        labels = (clean or self.prepared.tree).labels
        # A cell that is smaller than a batch would be mostly padding.
        batch = min(self.options.batch_size, self.sizes[part.cell])
        found = count_right(self.prepared.classifier, batches, part, labels, batch, progress.update)
        return {**found, **self._clean} if clean else found

    def _clips(self, part: Part, batches: Iterator[Tensor], progress: Progress) -> dict[str, Any]:
        paths = (self.prepared.tree.path(part.cell, index) for index in part.indices)
        clips = require_length(batches, paths, part.cell, self.options.difficulty)
        top5 = top5_of_clips(
            self.prepared.classifier, clips, part, self.options.batch_size, progress.update
        )
        if get_rank() == 0:
            write_top5(top5_path(self.file.path, part.cell), top5)
        return describe_clips(part.cell, top5)

    def _save(self) -> None:
        if get_rank() == 0:
            self.file.save(load_baseline(self.options.baseline, self.options.dataset))


def _same_images(asked: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Tell whether images without corruption are those of a cell: the same names at one place.

    A path may be spelled otherwise; at another place files of these names may be others.
    """
    places = {os.path.realpath(str(cell.get("source", ""))) for cell in (asked, found)}
    return len(places) == 1 and all(asked[key] == found.get(key) for key in ("sha256", "files"))


def describe_clips(cell: str, top5: Top5) -> dict[str, Any]:
    """Count what the clips of a cell give at each difficulty that they allow; a noise has one."""
    clips, found = top5.split(), {}
    for name in PERTURBATIONS:
        for difficulty in DIFFICULTIES:
            # Too short for a difficulty: there is nothing to compare.
            distance = 1 if IS_NOISE[name] else difficulty
            if folder_name(name, difficulty) != cell or min(top5.lengths) <= distance:
                continue
            measures = measure_clips(clips, name, difficulty)
            found[str(difficulty)] = {
                "flips": [measures.flips, measures.pairs],
                "flip_probability": measures.flip_probability,
                "top5_distance": measures.top5_distance,
            }
    return {"clips": len(clips), "frames": int(top5.lengths.sum()), "difficulty": found}


def _describe(cell: str, found: dict[str, Any]) -> str:
    if "clips" not in found:
        error = 1 - found["correct"] / found["total"]
        return f"{cell}: error {error:.2%} of {found['total']} images, {found['seconds']:.1f} s"
    text = f"{cell}: {found['clips']} clips, {found['frames']} frames, {found['seconds']:.1f} s"
    for difficulty, measures in found["difficulty"].items():
        text += f"; d={difficulty}: FP {measures['flip_probability']:.4f}"
        text += f", T5D {measures['top5_distance']:.4f}"
    return text
