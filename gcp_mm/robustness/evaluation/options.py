"""What an evaluation is asked for, and the settings by which its result file is recognised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from gcp_mm.errors import UserError
from gcp_mm.files import sha256
from gcp_mm.plain_data import digest
from gcp_mm.robustness.data.fixed_size import RELEASED_SIZE
from gcp_mm.robustness.data.tree import RobustnessTree
from gcp_mm.robustness.measures.baseline import Baseline, load_baseline
from gcp_mm.robustness.names import SEVERITIES


@dataclass(frozen=True)
class Options:
    """Options of an evaluation.

    Attributes:
        dataset: 'imagenet-c' or 'imagenet-p'.
        data_root: The tree.
        out: The result file.
        name: Of the run, in tables.
        names: Corruptions, perturbations or sets of them.
        severities: Of corruptions.
        difficulty: Of perturbations.
        num_samples: Files of each cell; None for all.
        shard: (i, n) evaluates every n-th file from the i-th one; None for all.
        clean_root: Class folders with images without corruption; they are measured.
        clean: Measure the test data of the config as such images.
        clean_error: Error without corruption, a fraction, if it is known.
        baseline: What errors are divided by: 'alexnet', a file, or one that has been read.
        input_size: Resize to it; None requires 224 x 224.
        decoder: 'pillow' or 'cv2'; of images.
        dtype: See :data:`gcp_mm.robustness.evaluation.classifier.DTYPES`.
        device: None takes a GPU if there is one.
        batch_size: Images or frames that the network is given at a time.
        workers: Processes that decode, for each process that computes.
    """

    dataset: str
    data_root: Path
    out: Path
    name: str
    names: Sequence[str] = ("benchmark",)
    severities: Sequence[int] = SEVERITIES
    difficulty: int = 1
    num_samples: int | None = None
    shard: tuple[int, int] | None = None
    clean_root: Path | None = None
    clean: bool = False
    clean_error: float | None = None
    baseline: str | Path | Baseline = "alexnet"
    input_size: int | None = None
    decoder: str = "pillow"
    dtype: str = "float32"
    device: str | None = None
    batch_size: int = 128
    workers: int = 4

    @property
    def clean_source(self) -> str | None:
        """Where images without corruption come from, if they are measured."""
        if self.clean_root is not None:
            return str(self.clean_root)
        return "test_dataloader" if self.clean else None

    def __post_init__(self) -> None:
        """Check what a parser does not."""
        for option, value, least in (
            ("batch-size", self.batch_size, 1),
            ("workers", self.workers, 0),
            ("input-size", self.input_size, 1),
            ("num-samples", self.num_samples, 1),
        ):
            if value is not None and value < least:
                raise UserError(f"--{option} {value}: at least {least}")
        if self.clean_error is not None and not 0 <= self.clean_error <= 1:
            raise UserError(
                f"--clean-error {self.clean_error}: a fraction from 0 to 1, not percent"
            )
        clean = [self.clean_root is not None, self.clean, self.clean_error is not None]
        if sum(clean) > 1:
            raise UserError("give one of --clean-root, --clean and --clean-error")
        if self.dataset == "imagenet-p" and any(clean):
            raise UserError("the clean error belongs to --dataset imagenet-c")


def parse_shard(text: str) -> tuple[int, int]:
    """Parse 'i/n', the i-th of n shards, i from 0."""
    first, _, number = text.partition("/")
    if not first.isdecimal() or not number.isdecimal() or int(first) >= int(number):
        raise UserError(f"--shard {text}: expected i/n with i from 0 to n - 1, such as 0/4 to 3/4")
    return int(first), int(number)


def make_settings(
    cfg: Config, checkpoint: str | Path, options: Options, tree: RobustnessTree
) -> dict[str, Any]:
    """Collect everything that the counts depend on."""
    read = "FFmpeg" if options.dataset == "imagenet-p" else options.decoder
    size = options.input_size or RELEASED_SIZE
    asked = f"require {size} x {size}"
    if options.input_size:
        asked = f"keep {size} x {size}, resize others (pillow, bilinear)"
        if tree.resizes:
            asked = f"resize to {size} x {size} (pillow, bilinear)"
    baseline = load_baseline(options.baseline, options.dataset)
    network = {"model": cfg.model, "data_preprocessor": cfg.get("data_preprocessor")}
    return {
        "config": Path(cfg.filename).stem if cfg.filename else "alexnet",
        "config_sha256": digest(network),
        "checkpoint": Path(checkpoint).name,
        "checkpoint_sha256": sha256(checkpoint),
        "transform": [f"decode ({read})", asked, "normalise on the device"],
        **tree.settings,
        "shard": options.shard,
        "dtype": options.dtype,
        # Not its path: the same file may lie elsewhere, and another one there.
        "baseline": baseline.name,
        "baseline_sha256": baseline.sha256,
        "clean_error": options.clean_error,
        "difficulty": options.difficulty,
    }
