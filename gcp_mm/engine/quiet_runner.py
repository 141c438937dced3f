"""A runner that shows on the screen what changes, and writes the whole log to its file."""

from __future__ import annotations

import logging
import os
import re
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

from gcp_mm.engine.noise import VERBOSE
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


def _is_shown(record: logging.LogRecord) -> bool:
    """Say whether a message belongs on the screen."""
    return not _ONLY_IN_THE_FILE.match(record.getMessage())


@RUNNERS.register_module()
class QuietRunner(Runner):
    """mmengine's Runner, whose environment, config and list of hooks are in the log file alone.

    The configs name it as ``runner_type``, so that it is what the tools of mmpretrain and mmdet
    build too: under ``mim test`` an error is not behind hundreds of lines.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; with ``GCP_MM_VERBOSE=1`` it is mmengine's own.

        Args:
            *args: As for mmengine's method.
            **kwargs: As for mmengine's method.

        Returns:
            The logger.
        """
        logger = super().build_logger(*args, **kwargs)
        if os.environ.get(VERBOSE):
            return logger
        files = [h.baseFilename for h in logger.handlers if isinstance(h, logging.FileHandler)]
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(_is_shown)
        if files:
            logger.info(
                f"environment, config and hooks are in {files[0]}; --verbose or {VERBOSE}=1 shows "
                "them"
            )
        return logger
