"""Each command ends with where its results are, and with a next command that can be typed."""

import argparse
import contextlib
import io
import os
import shlex
from itertools import islice
from pathlib import Path

import pytest
import torch
from reproduction.finished import finish
from robustness.conftest import checkpoint, clean, config, network, tree_c
from tiny_runs import forget_runs

from gcp_mm.cli import main as program
from gcp_mm.engine.config import load_config
from gcp_mm.landscape import curvature as spectrum
from gcp_mm.reproduction.jobs import make_jobs
from gcp_mm.reproduction.plan import read_plan

pytestmark = pytest.mark.training
__all__ = ["checkpoint", "clean", "config", "network", "tree_c"]

ROW = "shufflenetv2_gap_lrnorm"
FOG = "--corruptions fog --severities 1 --input-size 32 --workers 0"
CELL = f"{FOG} --dataset imagenet-c --data-root"
FEW = "--top 1 --trace-samples 2 --lanczos-steps 2"
IMAGES = "--split test --batch-size 2"
PARTS = [f"s/robustness/imagenet-c_shard{i}of2.json" for i in range(2)]
ONE_EPOCH = "--cfg-options train_cfg.max_epochs=1"

# By command: its arguments, the commands that have to run before, what is to be found after it, and
# the next command. None: it is a last station, behind which there is a figure or another program.
ENDINGS = {
    "train": (f"{{classifier}} --work-dir run {ONE_EPOCH}", (), "run/epoch_1.pth", "test"),
    "test": ("{classifier} run/epoch_1.pth --work-dir run", ("train",), "", "test"),
    "zoo download": (f"{ROW} --from-file {{released}} --out a.pth", (), "a.pth", "test"),
    "convert": ("{released} 'b c.pth'", (), "b c.pth", "test"),
    "export": (
        "{classifier} run/epoch_1.pth a.pt --input-size 32",
        ("train",),
        "a.pt",
        None,
    ),
    "robustness run": (
        f"{{config}} {{checkpoint}} {CELL} {{tree}} --out 'r 1.json'",
        (),
        "r 1.json",
        "robustness report",
    ),
    "robustness merge": (
        f"{PARTS[0]} {PARTS[1]} --out m.json",
        ("shard 0", "shard 1"),
        "m.json",
        "robustness report",
    ),
    "robustness baseline": (
        "{config} {checkpoint} --dataset imagenet-c --data-root {tree} --input-size 32 --workers 0 "
        "--out base.json",
        (),
        "base.json",
        "robustness run",
    ),
    "robustness report": (
        "'r 1.json' --out 'my report' --formats png --names net",
        ("robustness run",),
        "my report/report.md",
        "robustness report",
    ),
    "corrupt": (
        "{clean} c --dataset imagenet-c --corruptions fog --severities 1 --size 32 --limit 1 "
        "--workers 1",
        (),
        "c",
        "robustness run",
    ),
    "landscape run": (
        f"{{classifier}} --work-dir probed {ONE_EPOCH}",
        (),
        "probed/landscape.jsonl",
        "landscape plot",
    ),
    "landscape probe": (
        f"{{config}} {{checkpoint}} --out p.jsonl --etas 0.1 2 3 {IMAGES}",
        (),
        "p.jsonl",
        "landscape plot",
    ),
    "landscape surface": (
        f"{{config}} {{checkpoint}} --out 's 1.json' --points 3 {IMAGES}",
        (),
        "s 1.json",
        "landscape plot",
    ),
    "landscape curvature": (
        f"{{config}} {{checkpoint}} --out h.json {FEW} {IMAGES}",
        (),
        "h.json",
        "landscape plot",
    ),
    "landscape plot": (
        "probed --out bands --formats png",
        ("landscape run",),
        "bands.png",
        None,
    ),
    "reproduce": ("quick --report --work-dir q", (), "q/report/index.html", None),
    "schedules": ("rates.png --configs {classifier}", (), "rates.png", None),
    "compare": ("run --figure curves.png --json curves.json", ("train",), "curves.png", None),
}
# The last is for a part of the evaluation, whose next command joins the parts.
SHARD = f"robustness run {{config}} {{checkpoint}} {CELL} {{tree}} --work-dir s --shard"
# What these print is the result.
QUERIES = {"zoo list", "zoo show", "zoo readme", "doctor"}
# Names that only the user knows.
PLACEHOLDERS = {"CONFIG", "CHECKPOINT"}


class Parsed(Exception):
    """Ends a command behind its parser."""


def parser_of(name, arguments=None):
    """Return the parser of a command, and what it makes of arguments, without running it."""
    parse_args = argparse.ArgumentParser.parse_args

    def spy(self, argv=None, namespace=None):
        if self.prog == "gcp-mm":
            return parse_args(self, argv, namespace)
        raise Parsed(self, None if arguments is None else parse_args(self, argv, namespace))

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Parsed) as caught:
        patch.setattr(argparse.ArgumentParser, "parse_args", spy)
        program.main([name, *(arguments or ())])
    return caught.value.args


def every_command():
    """Name the commands of the program, and the commands of these."""
    for name in program.COMMANDS:
        parser, _ = parser_of(name)
        below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        yield from (f"{name} {word}" for word in below[0].choices) if below else [name]


def test_every_command_is_tried():
    assert set(every_command()) == ENDINGS.keys() | QUERIES


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Write a file like those of the authors' scripts."""
    torchvision = pytest.importorskip("torchvision")
    weights = torchvision.models.shufflenet_v2_x1_0().state_dict()
    path = tmp_path_factory.mktemp("released") / "best.pth.tar"
    state_dict = {f"module.{name}": tensor for name, tensor in weights.items()}
    torch.save(dict(epoch=240, arch="shufflenet_v2_x1_0", state_dict=state_dict), path)
    return path


def is_training(job):
    return job.kind == "train"


@pytest.fixture(scope="module")
def output(tmp_path_factory, classifier, released, config, checkpoint, clean, tree_c):
    """Return a function that gives what a command printed; each runs once, in one folder."""
    files = dict(classifier=classifier, released=released, config=config, checkpoint=checkpoint)
    files = {name: shlex.quote(str(path)) for name, path in files.items()}
    files.update(clean=shlex.quote(str(clean)), tree=shlex.quote(str(tree_c)))
    printed = {}

    def run(command):
        if command not in printed:
            line, needs = f"{SHARD} {command[-1]}/2", ()
            if command in ENDINGS:
                arguments, needs, *_ = ENDINGS[command]
                line = f"{command} {arguments}"
            for other in needs:
                run(other)
            if command == "reproduce":
                # Its runs take minutes: a page of one that is done.
                (first,) = islice(filter(is_training, make_jobs(read_plan("quick"))), 1)
                assert list(finish(Path("q"), [first]))
            with contextlib.redirect_stdout(io.StringIO()) as text:
                try:
                    code = program.main(shlex.split(line.format(**files)))
                finally:
                    forget_runs()
            assert not code
            printed[command] = text.getvalue().splitlines()
        return printed[command]

    def leave(code):
        raise AssertionError(f"the command ended with {code}")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("my work"))
        patch.setattr(os, "_exit", leave)
        # Dozens of products with the Hessian, which are tried elsewhere.
        found = {"eigenvalues": [1.0], "smallest_eigenvalue": -1.0}
        patch.setattr(spectrum.EstimatedSpectrum, "eigenvalues", lambda self, top: found)
        yield run


def split_next(line):
    """Return the command of a last line and what the parser of that makes of its arguments."""
    start, program_name, name, *arguments = shlex.split(line)
    # The folder is none of a source tree.
    assert (start, program_name) == ("next:", "gcp-mm")
    _, parsed = parser_of(name, arguments)
    if name == "robustness" and arguments[0] not in ("report", "merge"):
        arguments.insert(0, "run")
    return f"{name} {arguments[0]}" if name in ("robustness", "landscape") else name, parsed


NEEDED = {"export": (), "corrupt": ("imagecorruptions",), "landscape curvature": ("curvlinops",)}


@pytest.mark.parametrize("command", ENDINGS)
def test_results_and_what_comes_next(output, command):
    for package in NEEDED.get(command, ()):
        pytest.importorskip(package)
    _, _, made, following = ENDINGS[command]
    lines = output(command)
    results = lines[-1 if following is None else -2]
    assert results.startswith("results: "), lines
    # A training names the file and its folder.
    assert all(part in results for part in made.split("/")), results
    assert Path(made).exists()
    if following is None:
        assert not any(line.startswith("next:") for line in lines)
        return
    name, parsed = split_next(lines[-1])
    assert name == following
    if (path := getattr(parsed, "config", "CONFIG")) not in PLACEHOLDERS:
        load_config(path, needs=["model"])
    weights = getattr(parsed, "checkpoint", "CHECKPOINT")
    assert weights in PLACEHOLDERS or Path(weights).is_file()
    assert all(Path(path).exists() for path in getattr(parsed, "files", ()))


def test_shards_lead_to_their_union(output):
    for number in range(2):
        lines = output(f"shard {number}")
        assert lines[-2] == f"results: {PARTS[number]}"
    assert shlex.split(lines[-1])[2:] == [
        *("robustness", "merge", *PARTS, "--out", "s/robustness/imagenet-c.json"),
    ]


@pytest.mark.parametrize("command", ["landscape run", "landscape surface", "robustness report"])
def test_next_command_runs_as_it_is(output, command):
    """Those whose results are complete."""
    _, program_name, *arguments = shlex.split(output(command)[-1])
    assert program_name == "gcp-mm"
    with contextlib.redirect_stdout(io.StringIO()) as text:
        assert not program.main(arguments)
    assert "results: " in text.getvalue()
