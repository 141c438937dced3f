"""Measure checkpoints on the same images: probe a series of them, or look around one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

from gcp_mm.checkpoints.loader import find_checkpoint, load_from_file
from gcp_mm.checkpoints.pretrained import load_model
from gcp_mm.console.progress import Progress
from gcp_mm.errors import UserError
from gcp_mm.files import sha256
from gcp_mm.landscape.loss import Batches, digest_of, fixed_batches
from gcp_mm.landscape.probe import measure
from gcp_mm.landscape.records import RecordFile, ResultFile, make_header, was_counted
from gcp_mm.landscape.settings import Settings, resolve
from gcp_mm.locks import hold_file
from gcp_mm.plain_data import digest, part_of

# What is said of a file that another process writes, and what to do then.
_HELD = ("is being written", "wait for it, or choose another --out")


def probe_checkpoints(
    cfg: Config,
    checkpoints: Sequence[str | Path],
    out: str | Path,
    num_batches: int = 1,
    batch_size: int = 256,
    split: str = "train",
    seed: int = 0,
    device: str | torch.device = "cpu",
    **options: Any,
) -> list[dict]:
    """Probe checkpoints of one config on fixed batches, with the options of :func:`resolve`.

    Nothing is augmented. Which images are used follows from the data, their number and ``seed``,
    not from the network; the header of the file has their sha256, so that it shows whether two
    files have the same. Measurements that the file has already are not repeated.
    """
    paths = [find_checkpoint(path) for path in checkpoints]
    batches = fixed_batches(cfg, num_batches, batch_size, seed, split)
    settings = resolve(load_model(cfg, paths[0]), **options)
    header = {
        **settings.as_dict(),
        "batch_size": batch_size,
        "split": split,
        "seed": seed,
        "images": digest_of(itertools.chain.from_iterable(batches)),
    }
    with hold_file(out, *_HELD):
        file = RecordFile(out, make_header(cfg, header))
        _probe_missing(cfg, file, paths, batches, settings, device, seed)
    return file.records


def _probe_missing(
    cfg: Config,
    file: RecordFile,
    paths: Sequence[Path],
    batches: Sequence[tuple[torch.Tensor, torch.Tensor]],
    settings: Settings,
    device: str | torch.device,
    seed: int,
) -> None:
    """Measure each checkpoint on each batch that the file lacks."""
    done = {(r["checkpoint"], r["sha256"], r["batch"]) for r in file.records}
    digests = [sha256(path) for path in paths]
    missing = [
        (position, path, digest, index)
        for position, (path, digest) in enumerate(zip(paths, digests, strict=True))
        for index in range(len(batches))
        if (path.name, digest, index) not in done
    ]
    counted = {r["sha256"]: r["step"] for r in file.records if was_counted(r)}
    by_file = itertools.groupby(missing, key=lambda item: item[:3])
    with Progress(len(missing)) as progress:
        for (position, path, digest), group in by_file:
            model, when = load_model(cfg, path).to(device), _when(path)
            if "step" not in when:
                later = digests[position + 1 :]
                if digest not in counted and not counted.keys().isdisjoint(later):
                    raise UserError(
                        f"checkpoint {str(path)!r} does not say its iteration and comes before "
                        "others that were counted already: probe all of them, in their order, into "
                        "another file (--out)"
                    )
                when["step"] = counted.setdefault(digest, max(counted.values(), default=-1) + 1)
                when["counted"] = True
            for *_, index in group:
                try:
                    found = measure(model, *batches[index], settings)
                except UserError as error:
                    raise UserError(f"checkpoint {str(path)!r}, batch {index}: {error}") from error
                identity = {"checkpoint": path.name, "sha256": digest, "batch": index}
                file.append({**when, **identity, "seed": seed, **found.as_record()})
                progress.update()


def _when(path: Path) -> dict:
    """Say how far a checkpoint was trained; without ``step`` if it does not say that."""
    loaded = load_from_file(path, "cpu")
    meta = part_of(loaded, "meta")
    try:
        learning_rate = loaded["optimizer"]["param_groups"][0]["lr"]
    except (LookupError, TypeError):
        # Weights alone, or several optimizers.
        learning_rate = None
    step = {"step": meta["iter"]} if "iter" in meta else {}
    return {
        **step,
        "epoch": meta.get("epoch"),
        "lr": learning_rate if isinstance(learning_rate, int | float) else None,
    }


@contextmanager
def measuring(
    cfg: Config,
    checkpoint: str,
    kind: str,
    options: Mapping[str, Any],
    out: Path | None = None,
    device: str | torch.device = "cpu",
) -> Iterator[tuple[nn.Module, Batches, ResultFile]]:
    """Load a checkpoint and its images, and hold the result file of a measurement around it.

    ``options`` are written down, and a file that was made with others is refused; ``batches``,
    ``batch_size``, ``data_seed`` and ``split`` among them choose the images.
    """
    path = find_checkpoint(checkpoint)
    model = load_model(cfg, path).to(device)
    chosen = (options[name] for name in ("batches", "batch_size", "data_seed", "split"))
    batches = fixed_batches(cfg, *chosen)
    settings = {
        "config": Path(cfg.filename).stem,
        "model": digest(cfg.model.to_dict()),
        "checkpoint": sha256(path)[:16],
        "images": digest_of(inputs for inputs, _ in batches)[:16],
        "samples": digest_of(itertools.chain.from_iterable(batches))[:16],
        **options,
    }
    out = out or Path(cfg.work_dir) / "landscape" / f"{kind}_{path.stem}.json"
    with hold_file(out, *_HELD):
        file = ResultFile(out, kind, settings)
        file.results["checkpoint"] = checkpoint
        yield model, [(x.to(device), y.to(device)) for x, y in batches], file
