"""Train and evaluate: one path for classification and detection.

A run that an error or Ctrl-C cuts short closes its visualizer first and says where it was.
"""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import all_gather_object
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch.distributed import DistNetworkError, DistStoreError

from gcp_mm.checkpoints.loader import find_checkpoint
from gcp_mm.engine import preflight
from gcp_mm.engine.amp import check_amp_device, enable_amp
from gcp_mm.engine.config import is_first_rank
from gcp_mm.engine.distributed import explain_failure, prepare_distributed
from gcp_mm.engine.hooks.work_folder_hook import only_training
from gcp_mm.engine.loader_workers import workers_end_with_errors
from gcp_mm.engine.output import QuietRunner
from gcp_mm.engine.torch_backends import check_compile, check_gpu_driver
from gcp_mm.errors import UserError
from gcp_mm.first_process import log, warn


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """Find the checkpoint that ``--resume`` continues with.

    mmengine writes the pointer file ``last_checkpoint`` with an absolute path and not atomically.
    A pointer that is empty, or whose folder was moved, must not end a run that can go on.
    """
    folder = Path(work_dir)
    pointer = folder / "last_checkpoint"
    recorded = pointer.read_text().strip() if pointer.is_file() else ""
    if recorded:
        for path in (folder / Path(recorded).name, Path(recorded)):
            if path.is_file():
                return str(path)
    numbered = {
        int(match[1]): path
        for path in folder.glob("*.pth")
        if (match := re.fullmatch(r"(?:epoch|iter)_(\d+)\.pth", path.name))
    }
    return str(numbered[max(numbered)]) if numbered else None


# Seconds that a visualizer has to write, or send, what it keeps back. Below what the other
# processes of a launcher wait before they speak; see gcp_mm.console.run_command.
_PATIENCE = 10


@contextmanager
def finished(runner: Runner) -> Iterator[None]:
    """Close what a run has open, if the block ends with an error or is interrupted.

    Hooks that have a method ``after_cut(runner)`` are called, and the visualizer is closed: that of
    TensorBoard keeps up to two minutes of numbers back, those of services send theirs at the end.
    The tools end without the handlers of ``atexit``.
    """
    try:
        with workers_end_with_errors():
            yield
    except BaseException:
        runner.call_hook("after_cut")
        _close_visualizer(runner)
        raise


def _close_visualizer(runner: Runner) -> None:
    """Close it, within some seconds; another Ctrl-C ends the waiting."""
    failed: list[str] = []

    def close() -> None:
        try:
            runner.visualizer.close()
        # Of whatever kind: it must not hide the error that ended the run.
        except Exception as error:
            failed.append(f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    if thread.is_alive():
        failed.append(f"not within {_PATIENCE} s")
    if failed:
        log(f"the visualizer could not be closed ({failed[0]}): its last numbers may be missing")


def _build_runner(cfg: Config) -> Runner:
    preflight.check_annotations(cfg)
    preflight.evaluate_every_image(cfg)
    try:
        prepare_distributed(cfg)
        return RUNNERS.build(cfg) if "runner_type" in cfg else QuietRunner.from_cfg(cfg)
    except (DistNetworkError, DistStoreError) as error:
        raise UserError(explain_failure(error)) from error


def train(
    cfg: Config,
    resume: bool | str = False,
    amp: bool | str = False,
    auto_scale_lr: bool = False,
) -> Runner:
    """Train the network of a config.

    Args:
        cfg: A config from :func:`gcp_mm.engine.config.load_config`.
        resume: True continues with the latest checkpoint of the work folder, or starts if there
            is none; a path continues with that checkpoint.
        amp: Train with automatic mixed precision (the pooling layer stays in float32): True, or
            the dtype, 'float16' or 'bfloat16'; see :func:`gcp_mm.engine.amp.enable_amp`.
        auto_scale_lr: Scale the learning rate by batch / ``auto_scale_lr.base_batch_size``.

    Returns:
        The runner after training.

    Raises:
        UserError: If the data, a device or a setting does not allow the run, if another training
            is at work in the folder, or if the loss or a weight is no longer finite.
    """
    # What is set in it is of this run: the next one with the same config may be another.
    cfg = copy.deepcopy(cfg)
    check_gpu_driver()
    if amp:
        enable_amp(cfg, amp)
    else:
        check_amp_device(cfg)
    check_compile(cfg)
    if auto_scale_lr:
        if not cfg.get("auto_scale_lr", {}).get("base_batch_size"):
            raise UserError(
                "--auto-scale-lr needs auto_scale_lr.base_batch_size in the config: the batch "
                "that its learning rate was made for"
            )
        cfg.auto_scale_lr.enable = True
    _check_accumulation(cfg)
    checkpoint = latest_checkpoint(cfg.work_dir) if resume is True else resume
    if checkpoint:
        if "://" not in checkpoint:
            find_checkpoint(checkpoint)
        cfg.resume = True
        cfg.load_from = checkpoint
    preflight.check_data(cfg, ("train_dataloader", "val_dataloader"))
    preflight.check_pretrained(cfg.model)
    preflight.check_start(cfg)
    preflight.check_folder(cfg.work_dir, "work folder")
    preflight.add_hooks(cfg, training=True)
    with _only_training(cfg):
        runner = _build_runner(cfg)
        _check_dtypes(cfg)
        if resume is True and not checkpoint:
            warn(
                f"--resume: {cfg.work_dir} has no epoch_N.pth or iter_N.pth to continue from, so "
                "the training starts from the beginning"
            )
        with finished(runner):
            runner.train()
    return runner


def _only_training(cfg: Config) -> AbstractContextManager:
    """Hold the work folder; of the processes of a launcher the first one does."""
    return only_training(cfg.work_dir) if is_first_rank(cfg.launcher) else nullcontext()


def _check_dtypes(cfg: Config) -> None:
    """Refuse processes that compute in different types."""
    dtypes = set(map(str, all_gather_object(cfg.optim_wrapper.get("dtype"))))
    if len(dtypes) > 1:
        raise UserError(
            f"--amp means {' and '.join(sorted(dtypes))} on different GPUs of this run, whose "
            "gradients do not go together: name one, --amp float16 or --amp bfloat16"
        )


def _check_accumulation(cfg: Config) -> None:
    """Refuse to scale the learning rate to a batch that mmengine takes for a smaller one."""
    accumulated = cfg.optim_wrapper.get("accumulative_counts", 1)
    if accumulated > 1 and (cfg.get("auto_scale_lr") or {}).get("enable"):
        raise UserError(
            f"--auto-scale-lr does not go with optim_wrapper.accumulative_counts={accumulated}: "
            "mmengine scales to the batch of one step, which is that many times too small. Leave "
            "--auto-scale-lr out and set optim_wrapper.optimizer.lr to its value times batch x "
            "processes x accumulated / auto_scale_lr.base_batch_size"
        )


def test(
    cfg: Config,
    checkpoint: str,
    out: str | None = None,
    show_dir: str | None = None,
) -> dict[str, float]:
    """Evaluate a checkpoint on the config's test data.

    Args:
        cfg: A config from :func:`gcp_mm.engine.config.load_config`.
        checkpoint: Path or address of the weights.
        out: File that receives the predictions (.pkl).
        show_dir: Folder that receives the images with drawn predictions.

    Returns:
        The metrics by name.

    Raises:
        UserError: If the data or the checkpoint is missing or does not fit.
    """
    # With --out of an earlier run, the next one would write into that file as well.
    cfg = copy.deepcopy(cfg)
    check_gpu_driver()
    if "://" not in checkpoint:
        find_checkpoint(checkpoint)
    preflight.check_data(cfg, ("test_dataloader",))
    detection = cfg.get("default_scope") == "mmdet"
    # mmengine would build the training to continue it.
    cfg.load_from, cfg.resume = checkpoint, False
    preflight.add_hooks(cfg, training=False)
    if out is not None:
        if not out.endswith((".pkl", ".pickle")):
            raise UserError(f"--out has to end in .pkl, got {out!r}")
        dump = dict(type="DumpDetResults" if detection else "DumpResults", out_file_path=out)
        metrics = cfg.test_evaluator
        cfg.test_evaluator = [*metrics, dump] if isinstance(metrics, list) else [metrics, dump]
    if show_dir is not None:
        drawing = (cfg.get("default_hooks") or {}).get("visualization") or {}
        hook = {**drawing, "type": "gcp_mm.ShowDirHook", "out_dir": str(Path(show_dir).resolve())}
        cfg.custom_hooks = [*(cfg.get("custom_hooks") or []), hook]
    # Now, and not after hours of evaluation.
    for folder, what in (
        (cfg.work_dir, "work folder"),
        (out and Path(out).parent, "folder of --out"),
        (show_dir, "folder of --show-dir"),
    ):
        if folder is not None:
            preflight.check_folder(folder, what)
    runner = _build_runner(cfg)
    with finished(runner):
        return runner.test()
