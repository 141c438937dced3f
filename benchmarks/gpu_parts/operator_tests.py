"""Part 2: the tests of the operators that are marked ``gpu``, each group in a process of its own.

On a GPU the groups run at the same time, because compiling kernels is what takes long. Elsewhere a
few tests of the same files run on the CPU.
"""

from __future__ import annotations

import os
from typing import Any

from gpu_parts.processes import Job, as_they_end, last_lines
from gpu_parts.rows import FAIL, PASS, SKIP, Rows
from gpu_parts.settings import REPO, Settings

PART = "operators"
_OPS = "tests/ops"
_AGREEMENT, _TRAINING = f"{_OPS}/test_agreement.py", f"{_OPS}/test_training.py"
_KERNELS = f"{_OPS}/triton_kernels"
GROUPS: dict[str, tuple[str, ...]] = {
    "float32": (_AGREEMENT, "-k", "float32 or float64"),
    "tf32": (_AGREEMENT, "-k", "tf32"),
    "float16": (_AGREEMENT, "-k", "float16 and not bfloat16"),
    "bfloat16": (_AGREEMENT, "-k", "bfloat16"),
    "training": (_TRAINING, "-k", "not compiled"),
    "compiled": (_TRAINING, "-k", "compiled"),
    "kernels": (_KERNELS,),
    "others": (_OPS, *(f"--ignore={path}" for path in (_AGREEMENT, _TRAINING, _KERNELS))),
}
"""By name, what pytest is given. Each test belongs to one."""

QUICK = {"streams": (_TRAINING, "-k", "streams")}


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
            self.rows.add(case, FAIL, message[:400], log=str(report.longrepr).splitlines()[-60:])
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

    # Who asks pytest for workers, or has plugins for other projects, does not mean these tests.
    os.environ |= {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    os.chdir(REPO)
    marks = "gpu" if settings.device == "cuda" else "not gpu"
    code = pytest.main(
        [
            *("-q", "-m", marks, "-p", "no:cacheprovider"),
            *("--basetemp", str(settings.folder / "pytest" / group), *arguments),
        ],
        plugins=[Collector(Rows(settings.rows, PART), group)],
    )
    # Failed tests have their rows already.
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(int(code))


def run(settings: Settings, rows: Rows, end: float) -> None:
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
        for job, failure in as_they_end(jobs, end):
            if failure:
                rows.add(f"tests of {job.name}", FAIL, failure, log=last_lines(job.log))
    finally:
        for job in jobs:
            job.stop()
