"""``python -m gcp_mm.engine.launch``: torchrun, without its traceback for a failed worker.

The worker has said what is wrong; torchrun's own report of thirty lines would bury it.
"""

from __future__ import annotations

import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun


def main(arguments: list[str] | None = None) -> int:
    """Run torchrun.

    Args:
        arguments: As for torchrun; those of the command line by default.

    Returns:
        0, or the exit code of the first worker that failed.
    """
    try:
        torchrun(arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode != 2:  # 2: the worker printed a message of its own
            print(f"error: process {rank} failed: {failure.message}", file=sys.stderr)
        return failure.exitcode if failure.exitcode > 0 else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
