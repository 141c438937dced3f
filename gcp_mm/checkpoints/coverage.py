"""Which tensors of a network a checkpoint covers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os.path import commonprefix

from torch import Tensor

from gcp_mm.files import abbreviate

# What DataParallel and DistributedDataParallel put before every name, and torch.compile.
WRAPPERS = ("module.", "_orig_mod.")
_WRAPPED = re.compile(rf"({'|'.join(map(re.escape, WRAPPERS))})+")


@dataclass(frozen=True)
class Coverage:
    """The names of a network that a checkpoint has, lacks, has otherwise, and has besides.

    Those that differ are described as ``name (network shape, checkpoint shape)``.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def total(self) -> int:
        """Number of tensors of the network that were looked for."""
        return len(self.loaded) + len(self.missing) + len(self.mismatched)

    @property
    def complete(self) -> bool:
        """Whether every tensor of the network is covered."""
        return not self.missing and not self.mismatched

    @property
    def differences(self) -> int:
        """Number of tensors that only one of the two has, or that differ in form."""
        return len(self.missing) + len(self.mismatched) + len(self.unused)

    def __str__(self) -> str:
        """Format as ``loaded N of M tensors``."""
        return f"loaded {len(self.loaded)} of {self.total} tensors"

    def details(self) -> str:
        """List what does not fit, a few names of each kind."""
        parts = [
            f"{kind}: {abbreviate(names)}"
            for kind, names in (
                ("not in the file", self.missing),
                ("other shape (network, file)", self.mismatched),
                ("only in the file", self.unused),
            )
            if names
        ]
        return "; ".join(parts)


def wrapper_prefix(names: Iterable[str]) -> str:
    """Find what wrappers have put before every name, such as ``module._orig_mod.``, or nothing."""
    found = _WRAPPED.match(commonprefix(list(names)))
    return found[0] if found else ""


def weights_of(checkpoint: Mapping) -> dict[str, Tensor]:
    """Take the weights out of a checkpoint and drop the prefix of wrappers."""
    state_dict = checkpoint.get("state_dict", checkpoint)
    prefix = wrapper_prefix(state_dict) or "module."
    return {name.removeprefix(prefix): tensor for name, tensor in state_dict.items()}


# mmpretrain's transformers adapt these to another image or window size when they are loaded.
ADAPTED = ("pos_embed", "relative_position_bias_table", "relative_position_index")


def compare(
    network: Mapping[str, Tensor], checkpoint: Mapping[str, Tensor], any_shape: tuple[str, ...] = ()
) -> Coverage:
    """Compare two state dicts by name, shape and kind of number (integers or not).

    Names with an end in ``any_shape``, such as :data:`ADAPTED`, may have any shape.
    ``num_batches_tracked`` counters do not count: checkpoints before torch 1.0 have none, and
    nothing depends on them. Neither does what modules put beside their tensors.
    """
    loaded, missing, mismatched = [], [], []
    for name, tensor in network.items():
        if name.endswith(("num_batches_tracked", "_extra_state")):
            continue
        if name not in checkpoint:
            missing.append(name)
        elif checkpoint[name].shape != tensor.shape and not name.endswith(any_shape):
            shapes = f"{tuple(tensor.shape)}, {tuple(checkpoint[name].shape)}"
            mismatched.append(f"{name} ({shapes})")
        elif checkpoint[name].is_floating_point() != tensor.is_floating_point():
            mismatched.append(f"{name} ({tensor.dtype}, {checkpoint[name].dtype})")
        else:
            loaded.append(name)
    unused = [name for name in checkpoint if name not in network]
    return Coverage(tuple(loaded), tuple(missing), tuple(mismatched), tuple(unused))
