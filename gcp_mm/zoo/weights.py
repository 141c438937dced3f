"""``gcp_mm://ROW``: the weights of a row, where this project keeps them.

The classification rows are in mmpretrain's ``ModelHub`` as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import CheckpointMismatchError, CheckpointNotFoundError, UserError
from gcp_mm.files import abbreviate, sha256, why_absent
from gcp_mm.plain_data import part_of
from gcp_mm.zoo.rows import Row, find_row, zoo_root

SCHEME = "gcp_mm://"
# Of the classification rows.
METAFILE = "configs/imagenet/metafile.yml"

# Parts of a classifier of mmpretrain, and what of them is no parameter.
_PARTS = ("backbone.", "neck.", "head.")
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked", "_extra_state")


def default_checkpoint(row: Row) -> Path:
    """Return the place of a row's weights, from the working folder: ``checkpoints/<row>.pth``.

    The detection configs look for the weights of their backbones there. ``gcp_mm://ROW`` finds
    ``<row>.safetensors`` there as well.
    """
    return Path("checkpoints") / f"{row.name}.pth"


def load_from_zoo(filename: str, map_location: Any = None) -> Any:
    """Load ``gcp_mm://ROW``, which nothing downloads by itself, and log which file it is.

    A name is no proof: the file has to be as large as the row's network and may not say that it is
    another row's.
    """
    # Not above: this module is imported where only the place of the weights is asked for.
    from gcp_mm.checkpoints.loader import load_from_file
    from gcp_mm.first_process import log

    row = find_row(filename.removeprefix(SCHEME))
    path = default_checkpoint(row)
    other = path.with_name(f"{row.name}.safetensors")
    if not path.is_file() and other.is_file():
        path = other
    if not path.is_file():
        raise CheckpointNotFoundError(
            f"there are no weights of {row.name} here: {str(path)!r} {why_absent(path)} (working "
            f"folder: {Path.cwd()}). Fetch the authors' file with `{command_line('zoo')} "
            f"download {row.name}`, or give the path of a checkpoint (pretrained='PATH'), or ask "
            "for random weights (pretrained=False)"
        )
    loaded = load_from_file(path, map_location)
    _check_row(loaded, row, path)
    digest = sha256(path)
    log(f"weights of {row.name}: {path} (sha256 {digest}): {origin(loaded, row)}")
    return loaded


def origin(loaded: Mapping[str, Any], row: Row) -> str:
    """Say where the weights of a row come from, as far as the file says so."""
    meta = part_of(loaded, "meta") if "state_dict" in loaded else {}
    conversion = part_of(meta, "conversion")
    if conversion:
        recorded = row.release.sha256 if row.release else None
        source = f"converted from {conversion.get('source')} (sha256 {conversion.get('sha256')})"
        if row.release is None:
            return f"{source}; the authors released no file for this row"
        if recorded is None:
            return f"{source}; no sha256 of the authors' file is recorded, so it is not verified"
        same = recorded == conversion.get("sha256")
        return f"{source}, which is {'' if same else 'NOT '}the authors' file"
    if "epoch" in meta:
        name = meta.get("experiment_name", "an experiment without a name")
        return f"trained here ({name}, epoch {meta['epoch']}), not the authors'"
    return "of unknown origin: nothing in the file says that it is the authors'"


def _check_row(loaded: Any, row: Row, path: Path) -> None:
    """Refuse a file that cannot hold the weights of a row."""
    from gcp_mm.checkpoints.coverage import weights_of
    from gcp_mm.checkpoints.form import check_form

    check_form(loaded, path, on_meta=True)
    remedy = (
        f"Move it, and fetch the authors' file with `{command_line('zoo')} download {row.name}`"
        f"; or name the file itself (pretrained={str(path)!r}) with the config that it belongs to"
    )
    named = part_of(part_of(loaded, "meta"), "conversion").get("row")
    if named not in (None, row.name):
        raise CheckpointMismatchError(
            f"{str(path)!r} says that it holds the weights of {named!r}, not of {row.name}. "
            f"{remedy}"
        )
    tensors = weights_of(loaded)
    if other := [name for name in tensors if not name.startswith(_PARTS)]:
        raise CheckpointMismatchError(
            f"{str(path)!r} is not in the layout of mmpretrain: it has {abbreviate(other)}. "
            f"`{command_line('convert')}` converts published files. {remedy}"
        )
    parameters = sum(t.numel() for n, t in tensors.items() if not n.endswith(_BUFFERS))
    if parameters != row.parameters:
        raise CheckpointMismatchError(
            f"{str(path)!r} holds {parameters:,} parameters, and {row.name} has "
            f"{row.parameters:,}. {remedy}"
        )


def register_models(module: ModuleType) -> None:
    """Make ``mmpretrain.list_models``, ``get_model`` and the inferencers know the rows.

    The detectors stay out, because mmpretrain can build but not run them. Calling it again does
    nothing.
    """
    try:
        root = zoo_root()
    except UserError as error:
        # An `import mmpretrain` must not fail for that.
        warnings.warn(f"the models of gcp_mm are not registered: {error}", stacklevel=2)
        return
    models, metafile = module.ModelHub._models_dict, str(root / METAFILE)
    if any(model.filepath == metafile for model in models.values()):
        return
    module.ModelHub.register_model_index(metafile, config_prefix=root)
    for name, model in models.items():
        if model.filepath == metafile:
            # Without weights, get_model(name, pretrained=True) and the inferencers warn and go on
            # with random numbers. The scheme loads a file that is there, or says how to get it.
            model.weights = SCHEME + name
