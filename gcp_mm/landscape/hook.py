"""Probe the loss landscape during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from gcp_mm.engine.run_state import unwrapped
from gcp_mm.errors import UserError
from gcp_mm.first_process import log, on_first_process
from gcp_mm.landscape.loss import prepare_batch
from gcp_mm.landscape.probe import measure
from gcp_mm.landscape.records import FILENAME, RecordFile, make_header
from gcp_mm.landscape.settings import find_preset, resolve
from gcp_mm.locks import Lock, hold_file
from gcp_mm.registry import HOOKS


@HOOKS.register_module()
class LandscapeHook(Hook):
    """Measure loss and gradient along the gradient every few iterations; see :func:`probe`.

    The batch is the one that is about to be trained on, augmented images included, and the weights
    are those before its optimizer step. Mixing of images (``batch_augments``) is left out: it
    draws random numbers, and its labels are no class indices. The training is bit for bit the same
    as without this hook.

    Iterations count from 0 over the whole run, so that 0, N, 2 N, ... are probed; in the original
    code the count begins again in each epoch. With several processes the loss is the mean over all
    of them, and so is the batch: see ``distributed`` of :func:`gcp_mm.landscape.measure`.

    ``work_dir/landscape.jsonl`` gets the numbers of each probe; a run that is resumed goes on in
    that file. No other process writes it until training ends. The visualizer gets
    ``landscape/loss_min``, ``loss_max``, ``grad_diff_min`` and ``grad_diff_max`` over the steps.

    Args:
        interval: Iterations N between two probes. By default 500, with MobileNetV2 1000.
        at: Path of the module whose output is moved; by default the end of the stem.
        etas: Steps, or ``dict(start=, stop=, num=)``; by default the published ones.
        direction: 'ascent' or 'descent'.
        batch_norm: 'batch' or 'eval'.
        rescale: True or a batch size B_ref multiplies the steps by B / B_ref.
        filename: Name of the file in the work folder.
    """

    # By file. mmengine tells no hook of a training that was cut short, such as by Ctrl-C in a
    # notebook: the next training of this process takes its file over.
    _held: ClassVar[dict[Path, Lock]] = {}

    def __init__(
        self,
        interval: int | None = None,
        at: str | None = None,
        etas: Sequence[float] | Mapping[str, float] | None = None,
        direction: str = "ascent",
        batch_norm: str = "batch",
        rescale: bool | int = False,
        filename: str = FILENAME,
    ) -> None:
        if interval is not None and interval < 1:
            raise UserError(f"LandscapeHook: interval={interval} has to be at least 1")
        self._interval = interval
        self._arguments = (at, etas, direction, batch_norm, rescale)
        self._filename = filename
        self._lock: Lock | None = None

    def before_train(self, runner: Runner) -> None:
        """Check the settings, and open the file of records for this process alone.

        An error, such as records of another kind or another process that writes them, is raised in
        every process.
        """
        model = unwrapped(runner.model)
        self._settings = resolve(model, *self._arguments)
        if self._interval is None:
            self._interval = find_preset(model).interval
            if self._interval is None:
                raise UserError("LandscapeHook: no default interval for this network; set one")
        on_first_process(lambda: self._open(runner))

    def _described(self, runner: Runner) -> dict[str, Any]:
        """Return the settings that bands depend on, and a resumed run keeps."""
        settings = {
            **self._settings.as_dict(),
            "interval": self._interval,
            "batch_size": (runner.train_dataloader.batch_size or 0) * runner.world_size,
        }
        if self._settings.batch_norm == "batch":
            # Batch norms of each process take the statistics of its share of the batch.
            settings["processes"] = runner.world_size
        return settings

    def _open(self, runner: Runner) -> None:
        path = Path(runner.work_dir) / self._filename
        earlier = self._held.get(path.absolute())
        others = (getattr(hook, "_lock", None) for hook in runner.hooks if hook is not self)
        if earlier and not any(lock is earlier for lock in others):
            earlier.release()
        advice = "wait for it, stop it, or choose another folder (--work-dir)"
        self._lock = hold_file(path, "is being written", advice)
        self._held[path.absolute()] = self._lock.acquire()
        self._records = RecordFile(path, make_header(runner.cfg, self._described(runner)))
        if runner.iter:
            self._records.keep_before(runner.iter)
        elif aside := self._records.set_aside():
            log(f"landscape records of an earlier run are now in {aside}")

    def after_train(self, runner: Runner) -> None:
        """Let others write the file of records."""
        if self._lock is not None:
            self._lock.release()

    # Called instead, of a run that was cut short; see gcp_mm.engine.runner.
    after_cut = after_train

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict) -> None:
        """Probe, if it is time."""
        if runner.iter % self._interval:
            return
        model = unwrapped(runner.model)
        try:
            # Copies: the preprocessor changes the samples.
            samples = [sample.clone() for sample in data_batch["data_samples"]]
            batch = {**data_batch, "data_samples": samples}
            preprocessor = model.get_submodule("data_preprocessor")
            inputs, targets = prepare_batch(preprocessor, batch, "train_dataloader")
            found = measure(model, inputs, targets, self._settings, distributed=True)
        except UserError as error:
            raise UserError(f"landscape probe at iteration {runner.iter}: {error}") from error
        if is_main_process():
            self._records.append(
                {
                    "step": runner.iter,
                    "epoch": runner.epoch + 1,
                    "lr": runner.optim_wrapper.get_lr()["lr"][0],
                    "seed": runner.seed,
                    **found.as_record(),
                }
            )
        curves = {"loss": found.losses, "grad_diff": found.grad_diffs}
        runner.visualizer.add_scalars(
            {
                f"landscape/{name}_{end}": float(getattr(values, end)())
                for name, values in curves.items()
                for end in ("min", "max")
            },
            step=runner.iter,
        )
