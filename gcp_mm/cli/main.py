"""The program ``gcp-mm``: finds the module of a command and imports no other."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import sys
from collections.abc import Sequence
from typing import NamedTuple

from gcp_mm.doctor import stack
from gcp_mm.version import __version__


class Command(NamedTuple):
    """A command of the program.

    Attributes:
        summary: One line for the help.
        extra: The extra of this project that it needs beside OpenMMLab, if any.
        module: Where its ``main(argv, prog)`` is, if not in the module of its name in this package.
    """

    summary: str
    extra: str = ""
    module: str = ""


COMMANDS = {
    "train": Command("train a classifier or a detector"),
    "test": Command("evaluate a checkpoint"),
    "zoo": Command("list, describe and download the published models", "zoo"),
    "convert": Command("convert published or torchvision weights, or back"),
    "export": Command("write a classifier as ONNX, torch.export or TorchScript", "export"),
    "robustness": Command("evaluate on ImageNet-C or ImageNet-P, and compare"),
    "corrupt": Command("make a tree like ImageNet-C or -P from your images", "corruptions"),
    "landscape": Command("measure how smooth a loss is", "landscape"),
    "reproduce": Command("try the paper's claims, with seeds and verdicts", "landscape"),
    "schedules": Command("draw the learning rates of configs"),
    "compare": Command("draw the training curves of several runs"),
    "doctor": Command("check the installation", module="gcp_mm.doctor"),
}


def _install_command(package: str, extra: str) -> str:
    """Return what installs a missing package and leaves the OpenMMLab that is here as it is."""
    # The extra of OpenMMLab would be written over compiled mmcv, or over the forks.
    here = importlib.util.find_spec("mmengine") is not None
    if here and package in stack.DISTRIBUTIONS:
        return f"pip install {stack.requirement(package)}"
    openmmlab = "" if here else "onedl" if stack.on_forks() else "openmmlab"
    extras = ",".join(filter(None, (openmmlab, extra)))
    return f"pip install 'gcp_mm[{extras}]'" if extras else f"pip install {package}"


def run_named(name: str, arguments: Sequence[str], prog: str) -> int | None:
    """Import the module of a command and run it."""
    command = COMMANDS[name]
    try:
        module = importlib.import_module(command.module or f"gcp_mm.cli.{name}")
        return module.main(arguments, prog=f"{prog} {name}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "gcp_mm"):
            raise
        print(
            f"error: `{prog} {name}` needs the package {package!r}, which is not installed: "
            f"{_install_command(package, command.extra)}",
            file=sys.stderr,
        )
        return 2


def main(argv: Sequence[str] | None = None, prog: str = "gcp-mm") -> int | None:
    """Run one command.

    Args:
        argv: Command line without the program; ``sys.argv`` if None.
        prog: How the program is called, for its help.

    Returns:
        Exit status of the command; None is 0.
    """
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog=prog,
        usage="%(prog)s [-h] [--version] COMMAND ...",
        description="Global covariance pooling for OpenMMLab.",
        epilog="commands:\n"
        + "\n".join(f"  {name:{width}}  {row.summary}" for name, row in COMMANDS.items())
        + f"\n\n`{prog} COMMAND --help` explains a command. Several processes on one node:\n"
        "  torchrun --nproc_per_node=8 -m gcp_mm.cli train CONFIG --launcher pytorch",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gcp_mm {__version__}")
    parser.add_argument("command", metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.command not in COMMANDS:
        near = difflib.get_close_matches(args.command, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(COMMANDS)}"
        parser.error(f"there is no command {args.command!r}; {hint}")
    return run_named(args.command, args.arguments, prog)
