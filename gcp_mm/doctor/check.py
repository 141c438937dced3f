"""One row of the self-check, and how a probe that raises becomes one."""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from gcp_mm.doctor import stack

OK = "ok"
WARN = "warn"
FAIL = "FAIL"

# What a failed import says, and what it means in this stack; ``{install}`` and ``{reinstall}`` are
# filled with the commands that fit the stack that is installed. The first match counts.
KNOWN_ERRORS = (
    (
        r"MM(CV|Engine)==.* incompatible",
        "these versions do not belong together: {install} installs those that do",
    ),
    (
        r"torchvision::nms",
        "a CPU-only torch with a CUDA torchvision, or the reverse: take both from one index",
    ),
    (r"libGL|libgthread|libSM", "pip uninstall opencv-python; pip install opencv-python-headless"),
    (r"undefined symbol", "mmcv was built against another torch: {reinstall}"),
    (
        r"mmcv\._ext",
        "mmcv has no operators, and nothing serves torchvision's in their place: {install}",
    ),
    (
        r"implementation for device cuda|not compiled with GPU support",
        "compiled mmcv without CUDA operators hides torchvision's, which have them: {bare_mmcv}",
    ),
    (
        r"no kernel image is available|CUDA driver version is insufficient",
        "this torch is not for this GPU or driver: update the driver, or for an older one "
        "{install} TORCH=cu126",
    ),
    (r"pkg_resources", 'pip install "setuptools>=77.0.3,<81"'),
    (r"transformers", 'pip uninstall transformers, or pip install "transformers<4.56"'),
    (r"already registered", "an earlier import broke half-way: cure the other FAIL rows first"),
    (
        r"_ARRAY_API|numpy\.core\.multiarray|numpy\.dtype size changed",
        "a package was built for another numpy: {reinstall}",
    ),
)


def fill(cure: str) -> str:
    """Write the commands that fit the installed stack into a cure, in place of its braces."""
    return cure.format(
        install=stack.install_command(),
        reinstall=stack.reinstall_command(),
        bare_mmcv=stack.bare_mmcv_command(),
        **{module: stack.requirement(module) for module in stack.DISTRIBUTIONS},
    )


@dataclass(frozen=True)
class Check:
    """Outcome of one probe.

    Attributes:
        name: What was looked at.
        found: What was there: a version, a device, an error.
        status: ``OK``, ``WARN`` or ``FAIL``.
        cure: One line that says what to do, empty if there is nothing to do.
        blocking: Whether a ``FAIL`` breaks a documented command (train, test, demo).
    """

    name: str
    found: str
    status: str = OK
    cure: str = ""
    blocking: bool = True


Found = str | tuple[str, str, str]
"""What a probe found; with a status and a cure, if that is not well."""


@dataclass(frozen=True)
class Probe:
    """A probe of the row ``name``, and the ``cure`` for an error that no known one explains."""

    name: str
    examine: Callable[[], Found]
    cure: str = "{reinstall}"
    blocking: bool = True

    def run(self) -> Check:
        """Run the probe; what it raises becomes a row that fails."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = self.examine()
            # SystemExit: some packages leave the interpreter when they dislike what they find.
            except (Exception, SystemExit) as error:
                found = failure(error, self.cure)
        text, status, cure = (found, OK, "") if isinstance(found, str) else found
        return Check(self.name, text, status, cure, self.blocking)


def describe(error: BaseException) -> str:
    """Describe an exception in one line."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"no module {error.name!r}"
    message = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {message}".rstrip(": ")[:120]


def known_cure(error: BaseException) -> str:
    """Look an exception up in ``KNOWN_ERRORS``."""
    cures = (cure for pattern, cure in KNOWN_ERRORS if re.search(pattern, str(error)))
    return fill(next(cures, ""))


def failure(error: BaseException, cure: str, where: str = "") -> tuple[str, str, str]:
    """Return the row of an exception; ``cure`` is for one that is not known."""
    return f"{where}{describe(error)}", FAIL, known_cure(error) or fill(cure)


def release(version: str) -> tuple[int, ...]:
    """Take ``(2, 13, 0)`` from ``2.13.0+cu130``; empty if a version begins with no number."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()
