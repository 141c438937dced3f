"""What the exporters of torch raise, in the user's terms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from gcp_mm.errors import UserError, first_line

FIXED_BATCH_CURE = "--batch-size N exports it for batches of N images"


def network_name(network: nn.Module) -> str:
    """Name what a classifier consists of, for example ``GCPResNet with GlobalAveragePooling``."""
    network = getattr(network, "network", network)
    parts = [getattr(network, part, None) for part in ("backbone", "neck")]
    names = [type(part).__name__ for part in parts if part is not None]
    return " with ".join(names) or type(network).__name__


@contextmanager
def explain_errors(network: nn.Module, form: str) -> Iterator[None]:
    """Turn what an exporter raises into an error that names network, format and reason."""
    name = network_name(network)
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the exporters raise dozens of types
        # A disk or a folder, not the network: the caller knows the file.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        if "Constraints violated (batch)" in str(error):
            raise UserError(
                f"{name} cannot be exported to {form} with a dynamic batch: its code computes with "
                f"the batch size in Python, which fixes it (window_reverse of mmpretrain's Swin, "
                f"for one). {FIXED_BATCH_CURE}"
            ) from error
        kind = type(error).__name__
        raise UserError(
            f"{name} cannot be exported to {form}: {kind}: {first_line(error)}"
        ) from error
