"""tools/landscape.py run and probe."""

import pytest
from mmengine.config import Config
from tiny_runs import only_error

from gcp_mm.cli.landscape import HOOK
from gcp_mm.engine.preflight import add_missing_hooks
from gcp_mm.landscape.records import read_records

SMALL = ("--etas", 0.1, 2, 3, "--batch-size", 4)


@pytest.mark.parametrize(
    ("hooks", "expected"),
    [
        ([], [HOOK]),
        ([dict(type="A")], [dict(type="A"), HOOK]),
        ([dict(HOOK, interval=9)], [dict(HOOK, interval=9)]),
    ],
)
def test_hook_is_added_where_it_is_missing(hooks, expected):
    cfg = Config(dict(custom_hooks=hooks))
    add_missing_hooks(cfg, [HOOK])
    assert cfg.custom_hooks == expected


@pytest.mark.slow
def test_run_trains_and_probes_with_the_published_steps(call_tool, classifier, tmp_path):
    code, _, errors = call_tool(
        *("tools/landscape.py", "run", classifier, "--work-dir", tmp_path),
        *("--cfg-options", "train_cfg.max_epochs=1", "train_cfg.val_interval=9"),
    )
    assert code == 0, errors
    header, (record,) = read_records(tmp_path / "landscape.jsonl")
    assert header["settings"]["interval"] == 500 and record["step"] == 0
    assert (record["etas"][0], record["etas"][-1], len(record["etas"])) == (0.1, 75, 50)
    assert (tmp_path / "epoch_1.pth").exists()


def test_probe_measures_each_checkpoint(call_tool, classifier, trained, tmp_path):
    files = [trained[0] / f"epoch_{epoch}.pth" for epoch in (1, 3)]
    out = tmp_path / "probe.jsonl"
    command = ("tools/landscape.py", "probe", classifier, *files, "--out", out, *SMALL)
    code, output, errors = call_tool(*command)
    assert code == 0, errors
    header, records = read_records(out)
    assert [(r["checkpoint"], r["step"]) for r in records] == [
        ("epoch_1.pth", 4),
        ("epoch_3.pth", 12),
    ]
    assert header["settings"]["etas"] == [0.1, 1.05, 2]
    assert f"results: {out}\nnext: python tools/landscape.py plot {out} --out " in output
    assert f"epoch_3.pth, batch 0: loss {records[1]['loss']:.4f}" in output
    assert "ETA" in errors
    before = out.read_bytes()
    assert call_tool(*command)[0] == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--at", "backbone.layre2"], "backbone.layer2"),
        (["--device", "gpu"], "--device gpu"),
        (["--launcher", "pytorch"], "--launcher pytorch"),
        (["--etas", "1", "2", "0"], "at least one"),
        (["--etas", "1", "2", "2.5"], "2.5, not a whole number"),
        (["--etas", "1", "2", "nan"], "nan, not a whole number"),
    ],
)
def test_mistake_is_named(call_tool, classifier, trained, tmp_path, arguments, named):
    out = tmp_path / "probe.jsonl"
    command = ("tools/landscape.py", "probe", classifier, trained[0] / "epoch_3.pth", "--out", out)
    assert named in only_error(*call_tool(*command, *SMALL, *arguments))
    assert not out.exists()
