"""Configs of jobs: their texts, the schedules in them, and the files that they stand on.

A text names bases below ``configs`` and sets literals of plain data. It has ``{work}``, ``{data}``
and ``{configs}`` for folders. What is asked of texts and bases is read without executing them.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.files import sha256
from gcp_mm.zoo.rows import zoo_root

# Of a table of a schedule that changes within epochs, and at least so many of an epoch: a warm-up
# of an epoch is lost on a grid of epochs.
_FACTORS, _FACTORS_OF_AN_EPOCH = 200, 10
# What a result needs: an accuracy after every epoch.
_EVERY_EPOCH = {"val_interval": 1, "val_begin": 1, "dynamic_intervals": None}
# Keys of configs that name a file that a training starts from.
_STARTS = ("load_from", "checkpoint")


def resolve(text: str, work: Path, data: Path) -> str:
    """Put folders into a word of a command."""
    return _put_in(text, {"work": str(work), "data": str(data)})


def resolve_config(text: str, work: Path, data: Path) -> str:
    """Put folders into a config, whose texts stay texts whatever the names of the folders."""
    folders = {"work": work, "data": data, "configs": zoo_root() / "configs"}
    return _put_in(text, {name: _inside_quotes(str(folder)) for name, folder in folders.items()})


def _put_in(text: str, folders: Mapping[str, str]) -> str:
    # At once: the name of a folder may look like a placeholder.
    return re.sub(r"\{(\w+)\}", lambda found: folders.get(found[1], found[0]), text)


def _inside_quotes(text: str) -> str:
    """Escape a text that comes between quotes of either kind in a config."""
    escaped = text.encode("unicode_escape").decode()
    for sign in "'\"":
        escaped = escaped.replace(sign, f"\\{sign}")
    return _without_substitution(escaped)


def _without_substitution(literal: str) -> str:
    """Keep mmengine from reading ``{{...}}`` in a literal as an instruction, or as code."""
    return re.sub(r"{(?={)", r"\\x7b", literal)


def config_text(
    bases: Sequence[str], settings: Sequence[tuple[str, Any]], hooks: Sequence[Mapping[str, Any]]
) -> str:
    """Write a config: literals of plain data over bases, and hooks behind those of the bases."""
    merged: dict[str, Any] = {}
    for key, value in settings:
        merged[key] = _merge(merged[key], value) if key in merged else value
    lines = ["# Written for a run of a plan; see `gcp-mm reproduce --help`.", "_base_ = ["]
    lines += [f"    {_literal(f'{{configs}}/{base}')}," for base in bases]
    lines += ["]", *(f"{key} = {_literal(value)}" for key, value in merged.items())]
    if hooks:
        # Behind those that the plan sets, or else those of the bases.
        before = "custom_hooks" if "custom_hooks" in merged else "_base_.custom_hooks"
        lines.append(f"custom_hooks = [*{before}, *{_literal(list(map(dict, hooks)))}]")
    return "\n".join(lines) + "\n"


def _literal(value: Any) -> str:
    return _without_substitution(repr(value))


def _merge(old: Any, new: Any) -> Any:
    """Merge settings as mmengine merges configs."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping) or new.get("_delete_"):
        return new
    return {
        **old,
        **{key: _merge(old[key], value) if key in old else value for key, value in new.items()},
    }


@functools.cache
def shortened(base: str, factor: float) -> tuple[dict[str, Any], list[float] | None]:
    """Return the train_cfg of a schedule shortened by a factor, and a table of its rates.

    There is none of a schedule that stays as long as it is.
    """
    from mmengine.config import Config

    cfg = Config.fromfile(zoo_root() / "configs" / base)
    wanted = ("train_cfg", "param_scheduler", "optim_wrapper")
    if not all(key in cfg for key in wanted) or "max_epochs" not in cfg.train_cfg:
        raise UserError(
            f"the base {base!r} is no schedule in epochs: the last base of a schedule has "
            f"{', '.join(wanted)} and the number of epochs"
        )
    before = cfg.train_cfg
    loop = {key: value for key, value in _EVERY_EPOCH.items() if before.get(key, value) != value}
    if factor == 1:
        return {"max_epochs": before.max_epochs, **loop}, None
    schedulers = (
        cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    )
    for entry in schedulers:
        if not entry.get("by_epoch", True):
            raise UserError(
                f"the base {base!r} cannot be shortened: its {entry['type']} counts iterations "
                "(by_epoch=False); count epochs with convert_to_iter_based=True, or leave out "
                "shorten"
            )
    from gcp_mm.plots.learning_rates import learning_rates

    steps = 1
    if any(entry.get("convert_to_iter_based") for entry in schedulers):
        steps = max(_FACTORS_OF_AN_EPOCH, round(_FACTORS / before.max_epochs))
    rates = learning_rates(cfg, steps).ravel() / cfg.optim_wrapper.optimizer.lr
    epochs = max(1, round(before.max_epochs * factor))
    return {"max_epochs": epochs, **loop}, [float(f"{rate:.6g}") for rate in rates]


def base_digests(text: str) -> list[str]:
    """Return the digests of the bases that a text names, and of their bases."""
    return [found for path in _bases(text) for found in _digests(path)]


@functools.cache
def _digests(path: Path) -> list[str]:
    """Return the digest of a config and those of its bases; one of a package is its name."""
    digests = [sha256(path)]
    for base in _bases_below(path):
        digests += [base] if isinstance(base, str) else _digests(base)
    return digests


def _bases(text: str) -> list[Path]:
    """Return the bases that a text names."""
    lines = [line.strip(" ',") for line in text.splitlines()]
    names = [line.removeprefix("{configs}/") for line in lines if line.startswith("{configs}/")]
    return [zoo_root() / "configs" / name for name in names]


def _bases_below(path: Path) -> list[Path | str]:
    """Return the bases that a config of this project names; one of a package as it is named."""
    found: list[Path | str] = []
    text = path.read_text(encoding="utf-8")
    for statement in ast.parse(text).body if "_base_" in text else ():
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "_base_":
            named = ast.literal_eval(statement.value)
            names = [named] if isinstance(named, str) else named
            found += [name if "::" in name else (path.parent / name).resolve() for name in names]
    return found


def says(path: Path, word: str) -> bool:
    """Return whether a word stands in a config of this project, or in a base of it."""
    below = (base for base in _bases_below(path) if isinstance(base, Path))
    return word in path.read_text(encoding="utf-8") or any(says(base, word) for base in below)


@functools.cache
def start_files(text: str) -> tuple[str, ...]:
    """Return the files that a config starts from, as they are named.

    A key hides the same key of the bases. What is fetched, or made by another job, is none of them.
    """
    named = _named(text, _bases(text))
    names = [name for key in _STARTS for name in named.get(key, ()) if name]
    own = (name for name in names if "://" not in name and not name.startswith("{work}"))
    return tuple(dict.fromkeys(own))


def _named(text: str, bases: Sequence[Path | str]) -> dict[str, list[str | None]]:
    """Return the texts at the keys of start files, those of the bases where there is none."""
    found: dict[str, list[str | None]] = {}
    for key, value in _entries(ast.parse(text)):
        if key in _STARTS and isinstance(value, ast.Constant):
            if value.value is None or isinstance(value.value, str):
                found.setdefault(key, []).append(value.value)
    own = set(found)
    for base in bases:
        if isinstance(base, Path):
            below = _named(base.read_text(encoding="utf-8"), _bases_below(base))
            for key in below.keys() - own:
                found.setdefault(key, []).extend(below[key])
    return found


def _entries(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield keys and values of assignments, ``dict(...)`` and ``{...}``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            yield ast.unparse(node.targets[0]), node.value
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value
        elif isinstance(node, ast.Dict):
            for key, entry in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, entry
