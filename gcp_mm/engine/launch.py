"""``python -m gcp_mm.engine.launch``: torchrun, without its traceback for what a user can mend.

The worker has said what is wrong; torchrun's own report of thirty lines would bury it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys

from torch.distributed import DistNetworkError, DistStoreError
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from gcp_mm.console.noise import VERBOSE
from gcp_mm.engine.distributed import explain_failure
from gcp_mm.engine.torch_backends import check_gpu_driver
from gcp_mm.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run torchrun, unless the workers would miss a GPU that the machine has a driver for.

    The exit code is 0, or that of the first worker that failed; 2 if none was started; 130 after
    Ctrl-C.
    """
    if not os.environ.get(VERBOSE):
        # Five lines about a variable that it sets for the workers.
        logging.getLogger("torch.distributed.run").addFilter(
            lambda record: "OMP_NUM_THREADS" not in record.getMessage()
        )
    try:
        check_gpu_driver()
        torchrun(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (DistNetworkError, DistStoreError) as error:
        print(f"error: {explain_failure(error)}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, SignalException) as error:
        # As a shell reports a program that Ctrl-C, or kill, has ended.
        ended_by = getattr(error, "sigval", signal.SIGINT)
        print("interrupted", file=sys.stderr)
        return 128 + int(ended_by)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode != 2:  # 2: the worker printed a message of its own
            print(f"error: process {rank} failed: {failure.message}", file=sys.stderr)
        return failure.exitcode if failure.exitcode > 0 else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
