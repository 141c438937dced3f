"""Part 1: the tests of the operators that are marked ``gpu``, each group in a process of its own.

On a GPU the groups run at the same time, because compiling kernels is what takes long. Elsewhere a
few tests of the same files run on the CPU.
"""

from __future__ import annotations

import os
from typing import Any

from gpu_parts.processes import Job
from gpu_parts.rows import FAIL, PASS, SKIP, Rows
from gpu_parts.settings import REPO, Settings

PART = "operators"
_AGREEMENT, _OPS = "tests/ops/test_agreement.py", "tests/ops"
GROUPS: dict[str, tuple[str, ...]] = {
    "float32": (_AGREEMENT, "-k", "float32 or float64"),
    "tf32": (_AGREEMENT, "-k", "tf32"),
    "float16": (_AGREEMENT, "-k", "float16 and not bfloat16"),
    "bfloat16": (_AGREEMENT, "-k", "bfloat16"),
    "training": (f"{_OPS}/test_training.py", "-k", "not compiled"),
    "compiled": (f"{_OPS}/test_training.py", "-k", "compiled"),
    "kernels": (f"{_OPS}/triton_kernels/test_products.py",),
    "transforms": tuple(f"{_OPS}/{name}.py" for name in ("test_dispatch", "test_layer"))
    + (f"{_OPS}/gram/test_operator.py",),
}
QUICK = {"streams": (f"{_OPS}/test_training.py", "-k", "streams")}


class Collector:
    """A plugin of pytest that writes a row for each test function, and for each failed case.

    Args:
        rows: Where they are written.
        group: Name of the group.
    """

    def __init__(self, rows: Rows, group: str) -> None:
        self.rows, self.group = rows, group
        self.function, self.reason, self.seconds = "", "", 0.0
        self.outcomes = dict.fromkeys(("passed", "failed", "skipped"), 0)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count a phase of a test."""
        function = report.nodeid.rpartition("::")[2].partition("[")[0]
        if function != self.function:
            self.flush()
            self.function = function
        self.seconds += report.duration
        if report.failed:
            self.outcomes["failed"] += 1
            case = report.nodeid.rpartition("/")[2]
            crash = getattr(report.longrepr, "reprcrash", None)
            message = crash.message if crash else str(report.longrepr)
            self.rows.add(case, FAIL, message[:400])
        elif report.skipped:
            self.outcomes["skipped"] += 1
            self.reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        elif report.when == "call":
            self.outcomes["passed"] += 1

    def flush(self) -> None:
        """Write the row of the function that is finished."""
        if self.function:
            found = [f"{number} {name}" for name, number in self.outcomes.items() if number]
            text = f"{', '.join(found)} in {self.seconds:.1f} s"
            status = FAIL if self.outcomes["failed"] else PASS if self.outcomes["passed"] else SKIP
            if status == SKIP:
                text += f": {self.reason}"
            self.rows.add(f"{self.function}, {self.group}", status, text, **self.outcomes)
        self.function, self.seconds = "", 0.0
        self.outcomes = dict.fromkeys(self.outcomes, 0)

    def pytest_sessionfinish(self) -> None:
        """Write the row of the last function."""
        self.flush()


def run_group(settings: Settings, group: str, arguments: tuple[str, ...]) -> None:
    """Run pytest in this process; it ends with the exit code of pytest."""
    import pytest

    # What asks pytest for workers, or runs this as a test, is no business of these tests.
    os.environ["PYTEST_ADDOPTS"] = ""
    os.chdir(REPO)
    marks = "gpu" if settings.device == "cuda" else "not gpu"
    code = pytest.main(
        [
            *("-q", "-m", marks, "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"),
            *("--basetemp", str(settings.folder / "pytest" / group), *arguments),
        ],
        plugins=[Collector(Rows(settings.rows, PART), group)],
    )
    # Failed tests have their rows already.
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(int(code))


def run(settings: Settings, rows: Rows, seconds: float) -> None:
    """Run all groups at once, and stop them when the time is over."""
    (settings.folder / "pytest").mkdir(parents=True, exist_ok=True)
    groups = QUICK if settings.quick else GROUPS
    jobs = [
        Job.start(
            group,
            settings.forks,
            settings.folder / f"tests_{group}.log",
            run_group,
            *(settings, group, arguments),
        )
        for group, arguments in groups.items()
    ]
    try:
        for job in jobs:
            failure = job.wait(seconds)
            if failure:
                rows.add(f"tests of {job.name}", FAIL, failure)
    finally:
        for job in jobs:
            job.stop()
