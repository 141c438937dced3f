"""Runs the probes and prints what they found."""

import argparse
from collections.abc import Sequence
from importlib import util

from gcp_mm.console.run_command import run_command
from gcp_mm.doctor import conflicts, machine, packages
from gcp_mm.doctor.check import FAIL, OK, WARN, Check
from gcp_mm.doctor.stack import install_command


def diagnose() -> list[Check]:
    """Run every probe. None of them raises.

    Returns:
        One row for each probe.
    """
    probes = (*packages.PROBES, *machine.PROBES, *conflicts.PROBES)
    return [probe.run() for probe in probes]


def blocking_failures(checks: Sequence[Check]) -> list[str]:
    """Name the rows that break a documented command."""
    return [check.name for check in checks if check.status == FAIL and check.blocking]


def layer_alone(checks: Sequence[Check]) -> bool:
    """Say whether PyTorch is here and all of OpenMMLab is absent: the layer alone was installed."""
    names = ("mmengine", "mmcv", "mmpretrain", "mmdet")
    absent = all(util.find_spec(name) is None for name in names)
    return absent and any(check.name == "torch" and check.status == OK for check in checks)


def format_table(checks: Sequence[Check]) -> str:
    """Lay rows out as text, each cure on a line of its own below its row.

    Args:
        checks: Rows as :func:`diagnose` returns them.

    Returns:
        The table and a line that sums it up.
    """
    width = max((len(check.name) for check in checks), default=0)
    lines = []
    alone = layer_alone(checks)
    for check in checks:
        if alone and check.status != OK and check.found.startswith(("no module ", "not installed")):
            # Not a fault of the layer's installation: the last line says how the rest comes in.
            lines.append(f"-     {check.name:<{width}}  not installed, not needed by the layer")
            continue
        lines.append(f"{check.status:<4}  {check.name:<{width}}  {check.found}".rstrip())
        if check.status != OK:
            lines.append(f"{'':<{width + 8}}-> {check.cure}")
    broken = blocking_failures(checks)
    warned = sum(check.status == WARN for check in checks)
    if alone:
        sentence = "the layer (gcp_mm.ops) can be used; train, test and demo need OpenMMLab"
        lines += ["", f"{sentence}: {install_command()}"]
        return "\n".join(lines)
    verdict = f"will not work before {', '.join(broken)} is cured" if broken else "can run"
    lines += ["", f"train, test and demo {verdict}; {warned} warning{'s' * (warned != 1)}"]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None, prog: str = "python -m gcp_mm.doctor") -> int:
    """Print the self-check.

    Args:
        argv: Command line without the program; ``sys.argv`` if ``None``.
        prog: How the program is called, for its help.

    Returns:
        Exit status: 1 if a documented command would break, otherwise 0.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Check the installed stack and say how to cure what is wrong with it. "
        "Exits with 1 if train, test or demo would not work.",
    )
    parser.parse_args(argv)

    def command() -> int:
        checks = diagnose()
        print(format_table(checks))
        return 1 if blocking_failures(checks) and not layer_alone(checks) else 0

    return run_command(command)
