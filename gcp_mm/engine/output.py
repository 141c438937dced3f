"""What a run shows: what changes, with the whole log in a file, and at the end what is next."""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from gcp_mm.console.noise import VERBOSE
from gcp_mm.engine.config import tested_dataset
from gcp_mm.registry import RUNNERS

# The beginnings of what is long and the same at every start, and of what mmengine says of itself.
_ONLY_IN_THE_FILE = re.compile(
    r"\s*-{20,}\s+System environment:"
    r"|Config:\n"
    r"|Hooks will be executed in the following order:"
    r"|Distributed training is not used, all SyncBatchNorm"
    r'|"FileClient" will be deprecated'
    r'|"HardDiskBackend" is the alias of'
)


class _FormattedOnce(Config):
    """A config that formats its text, which mmengine writes into each checkpoint, once."""

    @classmethod
    def like(cls, cfg: Config) -> _FormattedOnce:
        """Return a config with the contents of another."""
        made = cls.__new__(cls)
        made.__setstate__(cfg.__getstate__())
        return made

    @property
    def pretty_text(self) -> str:
        """The text, formatted anew after a change."""
        contents = repr(self.to_dict())
        if self.__dict__.get("_formatted", ("", ""))[0] != contents:
            self.__dict__["_formatted"] = contents, super().pretty_text
        return self.__dict__["_formatted"][1]


@RUNNERS.register_module()
class QuietRunner(Runner):
    """mmengine's Runner, whose environment, config and list of hooks are in the log file alone.

    The configs name it as ``runner_type``, so that it is what the tools of mmpretrain and mmdet
    build too: under ``mim test`` an error is not behind hundreds of lines.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if isinstance(cfg := kwargs.get("cfg"), Config):
            kwargs["cfg"] = _FormattedOnce.like(cfg)
        super().__init__(*args, **kwargs)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; with ``GCP_MM_VERBOSE=1`` it is mmengine's own."""
        logger = super().build_logger(*args, **kwargs)
        if os.environ.get(VERBOSE):
            return logger
        files = [h.baseFilename for h in logger.handlers if isinstance(h, logging.FileHandler)]
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(lambda record: not _ONLY_IN_THE_FILE.match(record.getMessage()))
        if files:
            logger.info(
                f"environment, config and hooks are in {files[0]}; --verbose or {VERBOSE}=1 shows "
                "them"
            )
        return logger


def print_after_training(runner: Runner, config: str, prog: str | None) -> None:
    """Print where the checkpoints of a training are, and how to evaluate the best one."""
    best, last = _checkpoints(runner)
    chosen = best[0] if best else last
    if print_results_of_training(runner) and chosen:
        _print_next(prog, "train", "test", config, shown(chosen))


def print_results_of_training(runner: Runner, *more: str) -> bool:
    """Print where the checkpoints of a training are, in one process; say whether it is this one."""
    if not is_main_process():
        return False
    best, last = _checkpoints(runner)
    files = [f"{Path(path).name} (best)" for path in best]
    if last:
        files.append(f"{Path(last).name} (latest)")
    places = [f"{', '.join(files) or 'no checkpoint'} in {shown(runner.work_dir)}", *more]
    print(f"results: {', '.join(places)}, log in {shown(runner.log_dir)}", flush=True)
    return True


def _checkpoints(runner: Runner) -> tuple[list[str], str | None]:
    """Return the best checkpoints, and the last one."""
    hook = next((hook for hook in runner.hooks if isinstance(hook, CheckpointHook)), None)
    several = getattr(hook, "best_ckpt_path_dict", {}).values()
    best = [path for path in (getattr(hook, "best_ckpt_path", None), *several) if path]
    return best, getattr(hook, "last_ckpt", None)


def print_after_test(
    cfg: Config,
    config: str,
    checkpoint: str,
    metrics: dict[str, Any],
    out: str | None,
    show_dir: str | None,
    prog: str | None,
) -> None:
    """Print the metrics, where the rest is, and a next command."""
    if not is_main_process():
        return
    folder = shown(cfg.work_dir)
    # A metric may give numbers of NumPy or torch.
    plain = {
        name: value.item() if getattr(value, "ndim", None) == 0 else value
        for name, value in metrics.items()
    }
    numbers = ", ".join(
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in plain.items()
        if isinstance(value, (int, float))
    )
    places = [f"predictions in {out}"] if out else []
    places += [f"drawn images in {show_dir}"] if show_dir else []
    print(f"results: {'; '.join([numbers, *places])}; log in {folder}", flush=True)
    if not show_dir:
        images = str(Path(folder, "shown"))
        _print_next(prog, "test", "test", config, checkpoint, "--show-dir", images)
    elif cfg.get("default_scope") != "mmdet":
        # Where nothing brings images to one size, it has to be chosen.
        steps = [str(step.get("type")) for step in tested_dataset(cfg).get("pipeline") or ()]
        sized = any("Crop" in step or "Resize" in step for step in steps)
        size = () if sized else ("--input-size", "HEIGHT", "WIDTH")
        file = f"{Path(checkpoint).stem}.onnx"
        _print_next(prog, "test", "export", config, checkpoint, file, *size)


def shown(path: str | Path) -> str:
    """Return a path as one would type it here."""
    path, here = Path(path).resolve(), Path.cwd().resolve()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _print_next(prog: str | None, this: str, command: str, *arguments: str) -> None:
    """Print a command that is called as this one was."""
    if prog is None:
        tool = Path(sys.argv[0])
        program = f"python {shlex.quote(str(tool.with_name(tool.name.replace(this, command))))}"
    else:
        program = f"{prog.removesuffix(this)}{command}"
    print(f"next: {program} {shlex.join(arguments)}", flush=True)
