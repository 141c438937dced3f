"""Let the data loaders of a run work in containers with little shared memory or few open files."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from torch.utils.data import DataLoader

from gcp_mm.engine.loader_workers import prepare_workers, require_shared_memory
from gcp_mm.images.load_image import SharedFlags
from gcp_mm.registry import HOOKS


@HOOKS.register_module()
class LoaderWorkersHook(Hook):
    """Call :func:`gcp_mm.engine.loader_workers.prepare_workers` for each loader of the run."""

    def __init__(self) -> None:
        self._said: SharedFlags | None = None

    def before_run(self, runner: Runner) -> None:
        """Prepare the loaders, which have been built and have not begun.

        Args:
            runner: The runner about to train, validate or test.

        Raises:
            UserError: If there is no shared memory, or the limit on open files is too low.
        """
        for stage in ("train", "val", "test"):
            # The properties of these names would build a loop that is not needed.
            loop = getattr(runner, f"_{stage}_loop", None)
            loader = loop.dataloader if isinstance(loop, BaseLoop) else None
            if isinstance(loader, DataLoader) and loader.num_workers:
                no_workers = _no_workers(f"{stage}_dataloader", loader)
                # Where there is no shared memory at all, a flag could not be made.
                require_shared_memory(no_workers)
                self._said = self._said or SharedFlags(1)
                prepare_workers(loader, no_workers, self._said)


def _no_workers(key: str, loader: DataLoader) -> str:
    """Return the option that makes a loader work without workers."""
    option = f"--cfg-options {key}.num_workers=0"
    return f"{option} {key}.persistent_workers=False" if loader.persistent_workers else option
