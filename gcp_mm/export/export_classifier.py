"""From a config and a checkpoint to a checked file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor

from gcp_mm.checkpoints.loader import find_checkpoint
from gcp_mm.checkpoints.pretrained import classifier_scope, load_model
from gcp_mm.errors import UserError
from gcp_mm.export.exporter_errors import FIXED_BATCH_CURE, explain_errors, network_name
from gcp_mm.export.formats import Format, format_of
from gcp_mm.export.images import fit, prepare_image, random_images, size_of_test_images
from gcp_mm.export.numeric_check import TOLERANCE, Difference, Logits, compare, worst
from gcp_mm.export.properties import class_names, properties
from gcp_mm.files import check_target

# Batches of the check when the size is open. The middle one is the exporter's example.
_BATCHES = (1, 2, 3)
_LONGEST_LINE = 200


def export_classifier(
    cfg: Config,
    checkpoint: str | Path,
    target: str | Path,
    form: str | None = None,
    input_size: Sequence[int] | None = None,
    batch_size: int | None = None,
    scores: bool = False,
    normalise: bool = False,
    images: Sequence[str | Path] = (),
    tolerance: float = TOLERANCE,
    force: bool = False,
) -> list[str]:
    """Export the classifier of a config: images to logits, in float32.

    The file is written beside its final place, read back, run on random and on the given images,
    and renamed only if it computes what the PyTorch network does.

    Args:
        cfg: A classification config.
        checkpoint: Its weights, a file or ``hf://OWNER/NAME/FILE``; every tensor of the network
            has to be in it.
        target: The file to write.
        form: 'onnx', 'torch-export' or 'torchscript'; by default what the file name ends in.
        input_size: Height and width; by default what the test pipeline of the config gives.
        batch_size: Fix the number of images in a batch. By default it is open.
        scores: Give softmax probabilities instead of logits.
        normalise: Make the subtraction of the mean and the division by the standard deviation
            part of the file. By default they are texts in it.
        images: Image files to compare on, prepared by the test pipeline of the config.
        tolerance: Largest difference that is accepted, relative to the largest logit of a batch.
        force: Replace an existing target.

    Returns:
        Sentences about what was written.

    Raises:
        UserError: If anything is wrong; the target is not touched then.
    """
    target = Path(target).expanduser()
    chosen = format_of(target, form)
    chosen.check_packages()
    classifier_scope(cfg)
    check_target(target, force)
    if input_size is not None and min(input_size) < 1:
        raise UserError(f"--input-size {' '.join(map(str, input_size))}: at least 1 pixel each")
    if batch_size is not None and batch_size < 1:
        raise UserError(f"--batch-size {batch_size}: at least 1 image")
    checkpoint = find_checkpoint(checkpoint)
    network = Logits(load_model(cfg, checkpoint), scores, normalise)
    height, width = input_size or size_of_test_images(cfg)
    size = (height, width)
    example = random_images(batch_size or 2, size, network.normalise)
    with explain_errors(network, f"images of {size[0]} x {size[1]}"), torch.no_grad():
        shape = tuple(network(example).shape)
    batches = _batches(cfg, network, images, size, batch_size)
    classes = class_names(cfg, checkpoint, shape[1])
    name = Path(cfg.filename or "config").stem
    texts = properties(network, checkpoint, name, size, batch_size, classes)
    differences = _write(chosen, network, example, target, batch_size, texts, batches, tolerance)
    return [
        f"network: {network_name(network)}, {shape[1]} classes",
        *(f"{name}: {_shortened(text)}" for name, text in texts.items()),
        f"worst difference of {len(differences)} batches: {worst(differences)}",
        f"results: {target} ({chosen.name}, {target.stat().st_size / 1e6:.1f} MB)",
    ]


def _shortened(text: str) -> str:
    """Cut a text, such as the names of a thousand classes."""
    return text if len(text) <= _LONGEST_LINE else f"{text[:_LONGEST_LINE]} ..."


def _batches(
    cfg: Config,
    network: Logits,
    paths: Sequence[str | Path],
    size: tuple[int, int],
    batch_size: int | None,
) -> dict[str, Tensor]:
    """Make the batches of the check: random ones of several sizes, and one for each image."""
    numbers = _BATCHES if batch_size is None else (batch_size,)
    batches = {
        f"random images, batch {number}": random_images(number, size, network.normalise)
        for number in numbers
    }
    for path in paths:
        image = fit(prepare_image(cfg, path, network.network, not network.normalise), size)
        batches[str(path)] = image.repeat(batch_size or 1, 1, 1, 1)
    return batches


def _write(
    chosen: Format,
    network: Logits,
    example: Tensor,
    target: Path,
    batch_size: int | None,
    texts: dict[str, str],
    batches: dict[str, Tensor],
    tolerance: float,
) -> list[Difference]:
    """Write, check and only then rename."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # In the folder of the target, so that the file can be renamed.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export_") as folder:
            path = Path(folder) / f"file{chosen.suffixes[0]}"
            chosen.write(network, example, path, batch_size is None, texts)
            if foreign := chosen.foreign_operators(path):
                raise UserError(
                    f"the {chosen.name} file has operators that other programs lack: "
                    f"{', '.join(foreign)}. It was not kept"
                )
            differences = compare(network, chosen.read(path), batches)
            _refuse_differences(differences, tolerance, len(example))
            path.replace(target)
    except OSError as error:
        raise UserError(f"cannot write {str(target)!r}: {error.strerror or error}") from error
    return differences


def _refuse_differences(differences: list[Difference], tolerance: float, traced: int) -> None:
    """Raise an error if a difference is too large."""
    # Written this way round, NaN is too large as well.
    wrong = [d for d in differences if not d.exported <= tolerance]
    if not wrong:
        return
    cure = "a larger --tolerance accepts it if the rounding explains it"
    if all(d.batch != traced for d in wrong):
        cure = f"only batches other than {traced} differ, so the network fixes its batch size. "
        cure += FIXED_BATCH_CURE
    raise UserError(
        f"the exported file does not compute what the network does: the difference "
        f"{worst(wrong)} is larger than {tolerance:.0e}, relative to the largest output; {cure}. "
        "The file was not kept"
    )
