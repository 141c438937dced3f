"""From the command line to a config that mmengine's Runner can be built from."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.console.noise import VERBOSE
from gcp_mm.engine.cfg_options import OptionsAction, read_options
from gcp_mm.errors import UserError
from gcp_mm.files import why_absent
from gcp_mm.zoo.rows import zoo_root

if TYPE_CHECKING:
    from mmengine.config import Config

# Settings that a config has to have.
TRAINING = ("model", "train_dataloader", "train_cfg", "optim_wrapper")
EVALUATION = ("model", "test_dataloader", "test_evaluator")
AMP_DTYPES = ("float16", "bfloat16")


class _Verbose(argparse.Action):
    """Sets the variable that processes started from here read too."""

    def __call__(self, *_: object) -> None:
        os.environ[VERBOSE] = "1"


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and evaluation share."""
    parser.add_argument(
        "config",
        help="config file, or one of an installed package: gcp_mm::mask_rcnn_r50_gcpm.py",
    )
    parser.add_argument("--work-dir", help="folder for logs, checkpoints and results")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=OptionsAction,
        metavar="KEY=VALUE",
        help="override settings of the config, e.g. train_cfg.max_epochs=1 model.backbone.depth=18",
    )
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="who started the processes; the dist_*.sh scripts set it",
    )
    parser.add_argument(
        "--verbose",
        action=_Verbose,
        nargs=0,
        help="show environment, config, hooks and all warnings (every command: GCP_MM_VERBOSE=1)",
    )
    # torch.distributed.launch passes either spelling, torchrun none.
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)


def _parse_dtype(text: str) -> str:
    """Return the value of ``--amp``; without one argparse would take a config that follows."""
    if text not in AMP_DTYPES:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither float16 nor bfloat16; write a config before --amp"
        )
    return text


def add_amp_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--amp``; it is False, True without a value, or a dtype."""
    parser.add_argument(
        "--amp",
        nargs="?",
        const=True,
        default=False,
        type=_parse_dtype,
        metavar="{float16,bfloat16}",
        help="automatic mixed precision; by default bfloat16, or float16 on a GPU without it",
    )


def _leave_scope(value: object) -> None:
    """Take away the scope that mmengine writes into what comes from ``_base_ = 'gcp_mm::...'``.

    It would look for all that has no prefix in this package alone, and hand the mark itself to
    functions such as ``default_collate``. The configs of this package name what is its own in full
    (``gcp_mm.X``), and the rest belongs to their ``default_scope``.
    """
    if isinstance(value, dict):
        if value.get("_scope_") == "gcp_mm":
            del value["_scope_"]
        for item in value.values():
            _leave_scope(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _leave_scope(item)


def load_config(
    path: str,
    cfg_options: dict | None = None,
    work_dir: str | None = None,
    launcher: str = "none",
    needs: Sequence[str] = (),
) -> Config:
    """Read a config and apply the options of the command line.

    The work folder is, in this order: ``work_dir``, the config's own, ``work_dirs/<name>``.
    """
    # mmengine takes seconds to import, and --help should not.
    from mmengine.config import Config
    from mmengine.hub import get_config

    package = path.partition("::")[0] if "::" in path and not Path(path).is_file() else None
    # mmengine would install a package that is missing.
    if package is not None and not (package.isidentifier() and find_spec(package)):
        raise UserError(f"config {path!r}: there is no package {package!r}")
    if package == "gcp_mm":
        # mmengine finds none that lies at the top of configs/, and nothing of a source tree.
        path, package = str(zoo_root() / "configs" / path.partition("::")[2]), None
    if package is None and not Path(path).is_file():
        raise UserError(
            f"config {path!r} {why_absent(path)} (working folder: {Path.cwd()}); the configs of "
            "this project are below configs/; of an installed package: gcp_mm::NAME.py"
        )
    try:
        cfg = Config.fromfile(path) if package is None else get_config(path)
    except Exception as error:  # a config is code and can raise anything
        if "No usable temporary directory" in str(error):
            raise
        raise UserError(
            f"config {path!r} cannot be read: {type(error).__name__}: {error}"
        ) from error
    _leave_scope(cfg._cfg_dict)
    try:
        cfg.merge_from_dict(read_options(cfg_options or {}, cfg._cfg_dict))
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise UserError(
            f"--cfg-options {' '.join(cfg_options)} does not go with {path!r}: {error}"
        ) from error
    absent = [name for name in needs if not cfg.get(name)]
    if absent:
        raise UserError(
            f"config {path!r} does not set {', '.join(absent)}: name a complete config, such as "
            "one of configs/, or base yours on one (_base_ = 'gcp_mm::NAME.py')"
        )
    if "model" in needs and not isinstance(cfg.model, (dict, list)):
        raise UserError(f"config {path!r}: model is {cfg.model!r}, and has to be dict(type=...)")
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(path).stem)
    return cfg
