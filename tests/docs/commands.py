"""The command lines of a bash block: taken apart, and checked against the programs they name."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
from mim_packages import mim_source, upstream_tool
from shared_folder import REPO

from gcp_mm.cli.main import COMMANDS

# Files of tools/ whose command has another name.
TOOLS = {
    "compare_runs": "compare",
    "convert_checkpoint": "convert",
    "make_corruptions": "corrupt",
    "model_zoo": "zoo",
    "plot_schedules": "schedules",
    "test_robustness": "robustness",
}
# Where a launcher has a word of its own, and how many; what is left are arguments of the command.
LAUNCHERS = {
    "dist_train": ("train", slice(1, 2)),
    "dist_test": ("test", slice(2, 3)),
    "dist_test_robustness": ("robustness", slice(2, 3)),
    "slurm_train": ("train", slice(0, 2)),
    "slurm_test": ("test", slice(0, 2)),
    "slurm_reproduce": ("reproduce", slice(0, 2)),
}
# What stands for the reader's own: CONFIG, X.pth, $variable, {a,b}.
PLACEHOLDER = re.compile(r"^[A-Z][A-Z0-9_]*(\.\w+)?$|\.\.\.|[${}*]")
SETTING = re.compile(r"[A-Za-z_]\w*=")
TOOL = re.compile(r"(?:\./)?tools/(\w+)\.(py|sh)")


def commands(code: str) -> list[list[str]]:
    """Return the words of each command of a block; the heads of loops are left out."""
    lexer = shlex.shlex(re.sub(r"\\\n\s*", " ", code), posix=True, punctuation_chars=";&|\n")
    lexer.whitespace, lexer.whitespace_split = " \t", True
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set(";&|\n"):
            found.append([])
        elif found[-1] or word not in ("do", "then"):
            found[-1].append(word)
    return [words for words in found if words and words[0] not in ("for", "if", "done", "fi")]


def without_settings(words: list[str]) -> list[str]:
    """Return a command without NAME=VALUE before it."""
    first = next((n for n, word in enumerate(words) if not SETTING.match(word)), len(words))
    return words[first:]


def check(words: list[str]) -> None:
    """Fail if a command names a file, an option or a target that is not there."""
    words = without_settings(words)
    if not words:
        return
    if words[0] == "bash":
        words = words[1:]
    for word in words:
        if re.match(r"(configs|tools|benchmarks|requirements|demo)/", word):
            assert PLACEHOLDER.search(word) or (REPO / word).exists(), f"{word} does not exist"
    if words[0] == "python":
        words = words[1:]
        if words[:2] == ["-m", "gcp_mm.cli"]:
            words = ["gcp-mm", *words[2:]]
    program, *rest = words
    tool = TOOL.fullmatch(program)
    if tool and tool[2] == "sh":
        command, own = LAUNCHERS[tool[1]]
        del rest[own]
        if rest:
            _parse(command, rest)
    elif tool and TOOLS.get(tool[1], tool[1]) in COMMANDS and rest:
        _parse(TOOLS.get(tool[1], tool[1]), rest)
    elif program == "gcp-mm" and rest[1:] and not rest[0].startswith("-"):
        _parse(rest[0], rest[1:])
    elif program == "torchrun":
        _parse(*_after(rest, "gcp_mm.cli"))
    elif program == "mim":
        _check_mim(*rest)
    elif program == "make":
        _check_make(rest)
    elif program == "pip":
        project = (REPO / "pyproject.toml").read_text()
        for extras in re.findall(r"gcp_mm\[([\w,]+)\]", " ".join(rest)):
            for extra in extras.split(","):
                assert re.search(rf"^{extra} = \[", project, re.M), f"there is no extra {extra}"


def _after(words: list[str], name: str) -> tuple[str, list[str]]:
    """Return the command behind a name, and its arguments."""
    place = words.index(name)
    return words[place + 1], words[place + 2 :]


def _parse(command: str, arguments: list[str]) -> None:
    """Let the parser of one of our commands read its arguments, if no shell has to write them."""
    if any("$" in word for word in arguments):
        return
    module = importlib.import_module(COMMANDS[command].module or f"gcp_mm.cli.{command}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_command", lambda work: None, raising=False)
        if command == "doctor":
            assert not arguments
        else:
            module.main(arguments, prog=command)


def _check_make(words: list[str]) -> None:
    """Look for the targets of make, and for who reads its variables."""
    makefile = (REPO / "Makefile").read_text()
    scripts = "".join(path.read_text() for path in (REPO / "requirements").glob("*.sh"))
    for word in words:
        name, is_setting, _ = word.partition("=")
        if is_setting:
            assert re.search(rf"\b{name}\b", makefile + scripts), f"make: nothing reads {name}"
        else:
            assert re.search(rf"^{word}:", makefile, re.M), f"make has no target {word}"


def _check_mim(command: str, *rest: str) -> None:
    """Check a command of mim, as far as its source and that of the tool tell."""
    source = mim_source(f"commands/{command}.py")
    assert source.is_file(), f"mim has no command {command}"
    if command == "run":
        source, rest = mim_tool(*rest[:2]), rest[2:]
    text = source.read_text()
    for option in rest:
        known = f"'{option}'" in text or f'"{option}"' in text
        # mim hands on what it does not know.
        if option.startswith("--") and option != "--cfg-options":
            assert known or command != "run", f"{source.name} has no option {option}"


def mim_tool(package: str, name: str) -> Path:
    """Return the tool that `mim run PACKAGE NAME` starts."""
    found = [*Path(upstream_tool(package, "")).rglob(f"{name}.py")]
    assert found, f"{package} has no tool {name}"
    return found[0]
