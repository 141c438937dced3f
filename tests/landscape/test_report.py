import csv
import json
import os
import re

import pytest
from tiny_runs import only_error

TOOL = "tools/landscape.py"


def write_run(folder, name, width, batch_size=256, steps=4):
    header = {
        **{"kind": "header", "version": 1, "run": name, "config": "c", "fingerprint": "f"},
        "settings": {"at": "backbone.maxpool", "batch_size": batch_size},
    }
    probes = [
        {
            **{"kind": "probe", "step": 500 * i, "epoch": 1, "lr": 0.1, "loss": 2.0},
            **{"losses": [2.0, 2.0 + width], "grad_diffs": [0.0, 2 * width], "grad_norm": 0.1},
        }
        for i in range(steps)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(line) for line in (header, *probes)]
    (folder / "landscape.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def write_results(path, kind, **results):
    content = {"kind": kind, "settings": {"config": f"config_of_{path.stem}"}, "results": results}
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def runs(tmp_path):
    return [write_run(tmp_path / name, name, width) for name, width in (("gap", 4.0), ("gcp", 1.0))]


@pytest.mark.slow
def test_runs_give_figures_table_and_widths(call_tool, runs, tmp_path):
    out = tmp_path / "figures/bands"
    # A folder stands for its file.
    files = [runs[0], runs[1] / "landscape.jsonl"]
    options = ["--zoom", 0, 1000, "--smooth", 3, "--log", "--formats", "png", "pdf", "svg"]
    code, output, errors = call_tool(TOOL, "plot", *files, "--out", out, *options)
    assert code == 0, errors
    assert "gap: mean width of the loss band 4, of the gradient band 8, over 4 probes\n" in output
    assert "gcp: mean width of the loss band 1, of the gradient band 2, over 4 probes; " in output
    assert "0.250 and 0.250 times those of gap at the same steps" in output
    names = {"bands.html", "bands.png", "bands.pdf", "bands.svg", "bands.csv"}
    assert {path.name for path in out.parent.iterdir()} == names
    with out.with_suffix(".csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], float(row["loss_width"])) for row in rows] == [("gap", 4.0)] * 4 + [
        ("gcp", 1.0)
    ] * 4
    assert "warning" not in errors


@pytest.mark.slow
def test_runs_that_were_probed_differently_are_pointed_out(call_tool, runs, tmp_path):
    write_run(runs[1], "gcp", 1.0, batch_size=96)
    names = ["--names", "GAP", "GCP"]
    code, output, errors = call_tool(TOOL, "plot", *runs, "--out", tmp_path / "a.png", *names)
    assert code == 0, errors
    assert "warning: 'GCP' was probed differently from 'GAP': batch_size is 96" in errors
    # The suffix of a format that is written anyway is not written twice.
    assert {p.name for p in tmp_path.glob("a.*")} == {"a.html", "a.png", "a.pdf", "a.csv"}


RESULTS = {
    "surface": dict(alphas=[-1.0, 0.0, 1.0], betas=[0.0], losses=[[2.0], [1.0], ["inf"]]),
    "curvature": dict(grid=[0.0, 1.0], density=[1.0, 0.5], eigenvalues=[0.9]),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_results_are_drawn(call_tool, tmp_path, kind):
    files = [write_results(tmp_path / f"{name}.json", kind, **RESULTS[kind]) for name in "ab"]
    options = ["--out", tmp_path / "figure", "--formats", "svg"]
    code, output, errors = call_tool(TOOL, "plot", *files, *options)
    assert code == 0, errors
    assert output == f"results: {tmp_path / 'figure.html'}, {tmp_path / 'figure.svg'}\n"
    text = (tmp_path / "figure.svg").read_text()
    assert ">config_of_a<" in text and ">config_of_b<" in text


def test_results_that_do_not_compare_or_lack_points_are_pointed_out(call_tool, tmp_path):
    files, losses = [], {"a": [[2.0], [1.0], ["inf"]], "b": [[2.0], [1.0], [None]]}
    for name, images in (("a", "ab12"), ("b", "cd34")):
        results = {**RESULTS["surface"], "losses": losses[name]}
        files.append(write_results(tmp_path / f"{name}.json", "surface", **results))
        content = json.loads(files[-1].read_text())
        content["settings"].update(images=images, checkpoint=name, seed=name)
        files[-1].write_text(json.dumps(content))
    options = ["--out", tmp_path / "figure", "--formats", "svg"]
    code, _, errors = call_tool(TOOL, "plot", *files, *options)
    assert code == 0, errors
    first, second = errors.splitlines()
    assert first.startswith("warning: 'config_of_b' was probed differently from 'config_of_a': ima")
    assert "images is 'cd34' there and 'ab12' here. Their" in first and "seed" not in first
    assert second == ("warning: 'config_of_b' lacks 1 of 3 points; start `surface` again to finish")
    page = (tmp_path / "figure.html").read_text()
    assert "lacks 1 of 3 points" in page
    # Of the second, the point is not there, and is not one without a finite loss.
    gaps = re.findall(r'data-value="2">2</td>\s*<td class="number" data-value="(\d)"', page)
    assert gaps == ["1", "0"]


def test_mistakes_are_named(call_tool, runs, tmp_path):
    surface = write_results(tmp_path / "surface.json", "surface", **RESULTS["surface"])
    unfinished = write_results(tmp_path / "new.json", "curvature", eigenvalues=[1.0])
    for files, options, message in (
        ([runs[0], surface], [], "files of different kinds"),
        ([tmp_path / "absent.jsonl"], [], "absent.jsonl' cannot be read"),
        (runs, ["--names", "GAP"], "1 --names for 2 files"),
        (runs, ["--formats", "doc"], "no figure format '.doc'"),
        ([unfinished], [], "new.json' has no density yet"),
        ([surface], ["--log"], "--log is for bands of runs, not for a surface"),
        ([surface], ["--zoom", 0, 1], "--zoom is for bands of runs, not for a surface"),
        ([write_run(tmp_path / "empty", "empty", 1.0, steps=0)], [], "'empty' has no probe"),
    ):
        arguments = ["plot", *files, "--out", tmp_path / "figure", *options]
        assert message in only_error(*call_tool(TOOL, *arguments))
    assert not list(tmp_path.glob("figure*"))


def test_nothing_is_written_of_runs_that_cannot_be_compared(call_tool, runs, tmp_path):
    lines = (runs[1] / "landscape.jsonl").read_text().splitlines()
    later = [json.dumps({**json.loads(line), "step": 7}) for line in lines[1:2]]
    (runs[1] / "landscape.jsonl").write_text("\n".join([lines[0], *later]) + "\n")
    said = only_error(*call_tool(TOOL, "plot", *runs, "--out", tmp_path / "a.png"))
    assert "no probe at the same step" in said
    assert not list(tmp_path.glob("a.*"))


def test_files_of_one_name_are_told_apart(call_tool, runs, tmp_path):
    write_run(runs[1], "gap", 1.0)
    out = ["--out", tmp_path / "a.png"]
    said = only_error(*call_tool(TOOL, "plot", *runs, *out))
    assert "are called 'gap': give --names" in said and str(runs[1]) in said
    said = only_error(*call_tool(TOOL, "plot", *runs, *out, "--names", "x", "x"))
    assert "--names: 'x' is there twice" in said


def test_pipe_is_not_waited_for(call_tool, tmp_path):
    os.mkfifo(tmp_path / "probe.jsonl")
    result = call_tool(TOOL, "plot", tmp_path / "probe.jsonl", "--out", tmp_path / "bands")
    assert "probe.jsonl' is a pipe: write it to a file first" in only_error(*result)
