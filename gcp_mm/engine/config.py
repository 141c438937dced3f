"""From the command line to a config that mmengine's Runner can be built from.

Values of ``--cfg-options`` are mmengine's lists and numbers, but a path stays itself: mmengine's
DictAction takes all blanks and outer quotes out of every value, and makes a list of what has a
comma or is in brackets, so that ``data_root=/data/my cats, old`` would look for two folders.

Importing this module imports neither torch nor OpenMMLab.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.console.noise import VERBOSE
from gcp_mm.errors import UserError
from gcp_mm.files import why_absent
from gcp_mm.zoo.rows import zoo_root

if TYPE_CHECKING:
    from mmengine.config import Config

# Settings that a config has to have.
TRAINING = ("model", "train_dataloader", "train_cfg", "optim_wrapper")
EVALUATION = ("model", "test_dataloader", "test_evaluator")
# Settings that mmengine's Runners, mmpretrain, mmdet and this package read, and a config may lack.
_MAY_BE_NEW = frozenset(
    f"{mode}_{part}"
    for mode in ("train", "val", "test")
    for part in ("dataloader", "cfg", "evaluator")
) | frozenset(
    "activation_checkpointing auto_scale_lr compile custom_hooks custom_imports data_preprocessor "
    "default_hooks default_scope efficient_conv_bn_eval env_cfg experiment_name "
    "find_unused_parameters launcher load_from log_level log_processor model model_wrapper_cfg "
    "optim_wrapper param_scheduler randomness resume runner_type strategy sync_bn tta_model "
    "tta_pipeline vis_backends visualizer work_dir".split()
)
AMP_DTYPES = ("float16", "bfloat16")
# Last part of the keys that hold one path, in mmengine, mmpretrain and mmdet. `use_checkpoint` is a
# switch there, and `drop_path` a rate.
_PATH_KEY = re.compile(
    r"(^|(?<!use)(?<!drop)_)(root|file|filename|path|dir|folder|prefix|from|checkpoint)$"
)


class _Verbose(argparse.Action):
    """Sets the variable that processes started from here read too."""

    def __call__(self, *_: object) -> None:
        os.environ[VERBOSE] = "1"


class OptionText(str):
    """A value as it was typed; what it means depends on its key."""

    __slots__ = ()


class _Options(argparse.Action):
    """Collects ``KEY=VALUE`` words; all that are none are named, as parts of a value may be."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        words = [values] if isinstance(values, str) else values or ()
        wrong = [word for word in words if "=" not in word]
        if wrong:
            parser.error(
                f"{option_string}: expected KEY=VALUE, got {', '.join(wrong)}; put a value that "
                "has blanks into quotes"
            )
        options = dict(getattr(namespace, self.dest) or {})
        for word in words:
            key, _, text = word.partition("=")
            options[key] = OptionText(text)
        setattr(namespace, self.dest, options)


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
        action=_Options,
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


def innermost(dataset: Mapping) -> Mapping:
    """Return the data set of a config inside of wrappers such as RepeatDataset."""
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    return dataset


def tested_dataset(cfg: Config) -> Mapping:
    """Return the innermost data set of the loader of test or validation; empty without one."""
    return innermost(
        (cfg.get("test_dataloader") or cfg.get("val_dataloader") or {}).get("dataset", {})
    )


def load_config(
    path: str,
    cfg_options: Mapping[str, object] | None = None,
    work_dir: str | None = None,
    launcher: str = "none",
    needs: Sequence[str] = (),
) -> Config:
    """Read a config and apply the options of the command line.

    The work folder is, in this order: ``work_dir``, the config's own, ``work_dirs/<name>``.
    """
    options = cfg_options or {}
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
    # It takes seconds to import: neither --help nor a name that is mistyped should.
    from mmengine.config import Config
    from mmengine.hub import get_config

    try:
        cfg = Config.fromfile(path) if package is None else get_config(path)
    except Exception as error:  # a config is code and can raise anything
        if "No usable temporary directory" in str(error):
            raise
        raise UserError(
            f"config {path!r} cannot be read: {type(error).__name__}: {error}"
        ) from error
    _leave_scope(cfg._cfg_dict)
    _warn_of_new_keys(options, cfg._cfg_dict, launcher)
    try:
        cfg.merge_from_dict(read_options(options, cfg._cfg_dict))
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise UserError(
            f"--cfg-options {' '.join(options)} does not go with {path!r}: {error}"
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


def _warn_of_new_keys(options: Mapping[str, object], cfg: Mapping, launcher: str) -> None:
    """Warn of options that nothing reads, as their first part is no setting; once for all ranks."""
    if not is_first_rank(launcher):
        return
    model = cfg.get("model")
    for option in options:
        first, dot, rest = option.partition(".")
        if first in cfg or first in _MAY_BE_NEW:
            continue
        if isinstance(model, Mapping) and first in model:
            near = [f"model.{first}"]
        else:
            near = get_close_matches(first, sorted({*cfg, *_MAY_BE_NEW}), n=1)
        hint = f"; did you mean {near[0]}{dot}{rest}?" if near else ""
        # It takes a second to import, and --help should not.
        from gcp_mm.first_process import warn

        warn(
            f"--cfg-options {option}: this config has no setting {first!r} and nothing is known to "
            f"read one: it has no effect{hint}"
        )


def is_first_rank(launcher: str) -> bool:
    """Say whether this is the first of the processes of a launcher, before they are connected."""
    variable = {"pytorch": "RANK", "slurm": "SLURM_PROCID", "mpi": "OMPI_COMM_WORLD_RANK"}
    return os.environ.get(variable.get(launcher, ""), "0") == "0"


def read_options(options: Mapping[str, object], cfg: Mapping) -> dict[str, object]:
    """Turn what was typed into values."""
    return {
        key: _meaning(key, text, cfg) if isinstance(text, OptionText) else text
        for key, text in options.items()
    }


def _meaning(key: str, text: str, cfg: Mapping) -> object:
    """Return the value of one option."""
    if text == "None":
        return None
    several = isinstance(_setting(key, cfg), (list, tuple))
    if not several and (_PATH_KEY.search(key.rpartition(".")[2]) or _is_there(text)):
        return str(text)
    return _parse(text)


def _setting(key: str, cfg: Mapping) -> object:
    """Return what a config has under a dotted key, None if it has nothing there."""
    value: object = cfg
    for part in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, (list, tuple)) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _is_there(text: str) -> bool:
    """Say whether a text with a slash names something on this machine."""
    try:
        return "/" in text and Path(text).exists()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _parse(text: str) -> object:
    """Read a list, a tuple or a single value, as mmengine's DictAction without what that drops."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    if _is_enclosed(text):
        values = [_parse(part) for part in _split(text[1:-1])]
        return tuple(values) if text[0] == "(" else values
    parts = _split(text)
    return _scalar(text) if parts in ([], [text]) else [_parse(part) for part in parts]


def _is_enclosed(text: str) -> bool:
    """Say whether the first letter is a bracket that the last one closes."""
    if len(text) < 2 or f"{text[0]}{text[-1]}" not in ("[]", "()"):
        return False
    depths = itertools.accumulate((c in "[(") - (c in "])") for c in text)
    return 0 not in itertools.islice(depths, len(text) - 1)


def _split(text: str) -> list[str]:
    """Split at the commas outside of brackets; the last may be followed by nothing."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    rest = text[start:]
    return [*parts, rest] if rest.strip() else parts


def _scalar(text: str) -> object:
    """Return a number, a boolean or None, if a text is one."""
    # Python also takes 2024_01 and 007 for numbers, which nobody writes but in a name.
    if "_" not in text and not re.match(r"[+-]?0\d", text):
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    return {"true": True, "false": False}.get(text.lower(), None if text == "None" else text)
