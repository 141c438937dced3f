"""Every code block of the pages is executed, or, where it needs what is not here, checked."""

import ast
import contextlib
import importlib
import os
import re
import shlex
import subprocess
from importlib.util import find_spec

import pytest
from mmengine.registry import Registry
from tiny_runs import forget_runs

from docs.blocks import ALL, LANGUAGES, NEEDS, blocks_of
from docs.commands import check, commands, mim_tool, without_settings
from docs.pages import PAGES, inline, name_of
from docs.sandbox import made_sandbox, sandbox
from gcp_mm import registry

__all__ = ["made_sandbox", "sandbox"]
TYPED = re.compile(r"(python tools/|tools/\w+\.sh |gcp-mm |mim |make |python -m gcp_mm)")
# What a reader has to fill in, or may choose.
OPEN = re.compile(r"\.\.\.|\||\b[A-Z]{3,}\b(?!=)|<")
WITH_BLOCKS = [page for page in PAGES if any(block.is_run for block in blocks_of(page))]


@pytest.fixture
def run(call_tool, capfd, monkeypatch, sandbox):
    """Run one command of a page in the sandbox."""

    def outside(words):
        process = subprocess.run(
            ["bash", "-ec", shlex.join(words)],
            cwd=sandbox,
            capture_output=True,
            text=True,
            check=False,
        )
        return process.returncode, process.stdout, process.stderr

    def run(words):
        for setting in words[: len(words) - len(without_settings(words))]:
            name, _, value = setting.partition("=")
            monkeypatch.setenv(name, value)
        words = without_settings(words)
        program, *rest = words
        if program == "python" and rest[0].startswith("tools/"):
            result = call_tool(*rest, cwd=sandbox)
        elif program == "python" and rest == ["-m", "gcp_mm.doctor"]:
            result = call_tool(str(find_spec("gcp_mm.doctor.__main__").origin), cwd=sandbox)
        elif program == "gcp-mm":
            result = call_tool(str(find_spec("gcp_mm.cli.__main__").origin), *rest, cwd=sandbox)
        elif program == "mim" and rest[0] == "run":
            result = call_tool(str(mim_tool(*rest[1:3])), *rest[3:], cwd=sandbox)
        else:
            result = outside(words)
        code, output, errors = result
        assert code == 0, f"{shlex.join(words)}\n{output}{errors}"

    return run


@pytest.fixture
def given(sandbox):
    """Return the names that README's example takes as the reader's own."""
    import torch

    backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 256, 1), torch.nn.AdaptiveAvgPool2d(14))
    images, classifier = torch.rand(2, 3, 32, 32), torch.nn.Linear(32896, 10)
    return {"backbone": backbone, "images": images, "classifier": classifier}


@pytest.mark.process
@pytest.mark.training
@pytest.mark.filterwarnings("ignore:.* out of bounds")
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_blocks_run(page, run, given, sandbox, capfd, monkeypatch):
    monkeypatch.chdir(sandbox)
    forget_runs()
    names = {"__name__": "__page__", **given}
    for block in blocks_of(page):
        if not block.is_run:
            continue
        capfd.readouterr()
        if block.language == "bash":
            for words in commands(block.code):
                run(words)
        else:
            os.chdir(sandbox)
            if block.file:
                (sandbox / block.file).parent.mkdir(parents=True, exist_ok=True)
                (sandbox / block.file).write_text(block.code)
            if not block.file or block.file.endswith(".py"):
                exec(compile(block.code, block.place, "exec"), names)
        if block.prints is not None:
            assert capfd.readouterr().out.strip() == block.prints.strip(), block.place


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)


@pytest.fixture(scope="module")
def registered():
    """Return every name that a config may write with our prefix."""
    registries = [value for value in vars(registry).values() if isinstance(value, Registry)]
    for one in registries:
        one.import_from_location()
    return {f"gcp_mm.{name}" for one in registries for name in one.module_dict}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_name_what_is_there(page, registered):
    for block in blocks_of(page):
        language = block.language or ("text" if block.page.name == "README.md" else "")
        assert language in LANGUAGES, f"{block.place}: {block.language!r}"
        if block.language == "bash" and not block.is_run:
            subprocess.run(["bash", "-n"], input=block.code, text=True, check=True)
            for words in commands(block.code):
                with _named(block.place, words):
                    check(words)
        elif block.language == "python":
            tree = ast.parse(block.code, block.place)
            for module, name in imports(tree):
                if find_spec(module.partition(".")[0]):
                    found = importlib.import_module(module)
                    assert name is None or hasattr(found, name), f"{block.place}: {module}.{name}"
            for name in re.findall(r"""type=["'](gcp_mm\.\w+)["']""", block.code):
                assert name in registered, f"{block.place}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_inside_of_lines_can_be_typed(page):
    for token in inline(page):
        text = token.content
        if token.type == "code_inline" and TYPED.match(text) and not OPEN.search(text):
            for words in commands(text):
                with _named(name_of(page), words):
                    check(words)


@contextlib.contextmanager
def _named(place, words):
    """Say which command it is that its parser refuses."""
    try:
        yield
    except SystemExit as end:
        raise AssertionError(f"{place}: {shlex.join(words)} is refused") from end


def test_marks_are_used():
    run = [block for block in ALL if block.is_run]
    checked = [block for block in ALL if block.needs]
    assert len(run) > 10 and len(checked) > 10
    assert {name for block in ALL for name in block.needs} <= NEEDS.keys()
