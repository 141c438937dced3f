"""Evaluate a network on ImageNet-C or ImageNet-P, cell after cell, resumable at each."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, get_rank

from gcp_mm.evaluation.perturbations import DIFFICULTIES, IS_NOISE, PERTURBATIONS, folder_name
from gcp_mm.evaluation.sequences import measure_clips
from gcp_mm.robustness.first_process import on_first_process
from gcp_mm.robustness.loader import CLEAN, CellFiles, Part, make_loader
from gcp_mm.robustness.measures import corruption_measures, perturbation_measures
from gcp_mm.robustness.options import Options
from gcp_mm.robustness.prepare import Prepared, prepare
from gcp_mm.robustness.processes import share
from gcp_mm.robustness.progress import Progress
from gcp_mm.robustness.result import ResultFile
from gcp_mm.robustness.run_c import count_right
from gcp_mm.robustness.run_p import top5_of_clips
from gcp_mm.robustness.settings import make_settings
from gcp_mm.robustness.top5_file import Top5, top5_path, write_top5

# Clips that a worker hands over at a time: 4.7 MB each.
_CLIPS = 2

MEASURES = {"imagenet-c": corruption_measures, "imagenet-p": perturbation_measures}


def evaluate(cfg: Config, checkpoint: str | Path, options: Options) -> dict[str, Any]:
    """Measure the cells that the result file lacks.

    After each cell the file is replaced by a longer one, so that a run which is killed continues
    where it was. All processes of a launcher work on the same cell.

    Args:
        cfg: Config of the network, with ``launcher``.
        checkpoint: Its weights.
        options: What is measured.

    Returns:
        The content of the result file.

    Raises:
        UserError: If something is missing, unreadable, does not fit, or the file is of another
            evaluation. Finished cells stay in the file.
    """
    prepared = prepare(cfg, checkpoint, options)
    settings = on_first_process(lambda: make_settings(cfg, checkpoint, options, prepared.tree))
    file = on_first_process(
        lambda: ResultFile(options.out, options.dataset, options.name, settings)
    )
    Evaluation(prepared, options, file).run()
    # No process ends while another one still talks to it.
    barrier()
    return file.content


class Evaluation:
    """The cells that are left to do.

    Args:
        prepared: Data and network.
        options: What is measured.
        file: The result file.
    """

    def __init__(self, prepared: Prepared, options: Options, file: ResultFile) -> None:
        self.prepared, self.options, self.file = prepared, options, file
        wanted = dict.fromkeys(prepared.tree.cells, prepared.tree.num_items)
        done = set(file.cells)
        if prepared.clean:
            wanted = {CLEAN: len(prepared.clean[1]), **wanted}
            if file.cells.get(CLEAN, {}).get("source") != options.clean_source:
                done.discard(CLEAN)
        self.sizes = wanted
        self.is_clips = options.dataset == "imagenet-p"
        batch = _CLIPS if self.is_clips else options.batch_size
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
        loader = make_loader(
            CellFiles(prepared.tree, prepared.clean[0] if prepared.clean else None),
            self.parts,
            self.options.workers,
            self.is_clips,
            prepared.classifier.device.type == "cuda",
        )
        batches = iter(loader)
        with Progress(sum(len(part.indices) for part in self.parts)) as progress:
            for part in self.parts:
                start = time.perf_counter()
                measure = self._clips if self.is_clips else self._images
                found = measure(part, batches, progress)
                found["seconds"] = round(time.perf_counter() - start, 3)
                self.file.cells[part.cell] = found
                self._save()
                progress.say(_describe(part.cell, found))

    def _images(self, part: Part, batches: Any, progress: Progress) -> dict[str, Any]:
        clean = part.cell == CLEAN
        labels = self.prepared.clean[1] if clean else self.prepared.tree.labels
        # A cell that is smaller than a batch would be mostly padding.
        batch = min(self.options.batch_size, self.sizes[part.cell])
        found = count_right(self.prepared.classifier, batches, part, labels, batch, progress.update)
        return {**found, "source": self.options.clean_source} if clean else found

    def _clips(self, part: Part, batches: Any, progress: Progress) -> dict[str, Any]:
        top5 = top5_of_clips(
            self.prepared.classifier, batches, part, self.options.batch_size, progress.update
        )
        if get_rank() == 0:
            write_top5(top5_path(self.file.path, part.cell), top5)
        return describe_clips(part.cell, top5)

    def _save(self) -> None:
        if get_rank() == 0:
            settings = self.file.content["settings"]
            measure = MEASURES[self.options.dataset]
            self.file.save(measure(self.file.cells, settings, self.options.baseline))


def describe_clips(cell: str, top5: Top5) -> dict[str, Any]:
    """Count what the clips of a cell give at each difficulty that they allow.

    Args:
        cell: Folder of the perturbation; that of a noise has one difficulty.
        top5: Of its frames.

    Returns:
        ``clips``, ``frames``, and for each difficulty ``flips`` ([changes, comparisons]),
        ``flip_probability`` and ``top5_distance``.
    """
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
