"""Checkpoints are probed on the same images, once."""

import copy

import numpy as np
import pytest
import torch

from gcp_mm.checkpoints.pretrained import load_model
from gcp_mm.errors import CheckpointMismatchError, CheckpointNotFoundError, UserError
from gcp_mm.landscape import offline, probe
from gcp_mm.landscape.loss import fixed_batches
from gcp_mm.landscape.offline import probe_checkpoints
from gcp_mm.landscape.records import read_records

OPTIONS = dict(num_batches=2, batch_size=4, etas=[0.1, 5.0])


@pytest.fixture
def run(cfg, tmp_path):
    def start(*checkpoints, **options):
        own = copy.deepcopy(cfg)
        own.work_dir = str(tmp_path / "work")
        own.merge_from_dict(options.pop("cfg_options", {}))
        out = tmp_path / "probe.jsonl"
        return probe_checkpoints(own, checkpoints, out, **OPTIONS | options), out

    return start


@pytest.fixture
def later(checkpoint, tmp_path):
    """Another checkpoint, with other weights."""
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["backbone.conv1.weight"] *= 1.5
    content["meta"] = {"epoch": 2, "iter": 8}
    content["optimizer"] = {"param_groups": [{"lr": 0.25}]}
    torch.save(content, tmp_path / "epoch_2.pth")
    return tmp_path / "epoch_2.pth"


@pytest.mark.slow
def test_records_are_what_the_probe_gives(run, cfg, checkpoint, later):
    records, out = run(checkpoint, later)
    assert read_records(out)[1] == records
    assert [(r["step"], r["epoch"], r["lr"], r["checkpoint"], r["batch"]) for r in records] == [
        (4, 1, None, "epoch_1.pth", 0),
        (4, 1, None, "epoch_1.pth", 1),
        (8, 2, 0.25, "epoch_2.pth", 0),
        (8, 2, 0.25, "epoch_2.pth", 1),
    ]
    batches = fixed_batches(cfg, 2, 4)
    for record, path in zip(records, (checkpoint, checkpoint, later, later), strict=True):
        images, targets = batches[record["batch"]]
        found = probe(load_model(cfg, path), images, targets, etas=OPTIONS["etas"])
        assert np.allclose(record["losses"], found.losses, rtol=1e-6)
        assert np.allclose(record["grad_diffs"], found.grad_diffs, rtol=1e-5)
    assert len({record["loss"] for record in records}) == 4


@pytest.mark.slow
def test_weights_alone_are_counted_after_those_that_are_there(run, checkpoint, later, tmp_path):
    bare = []
    for name, path in (("a.pth", checkpoint), ("b.pth", later)):
        content = torch.load(path, weights_only=True)
        torch.save({"state_dict": content["state_dict"]}, tmp_path / name)
        bare.append(tmp_path / name)
    run(bare[0])
    records, out = run(bare[1])
    assert [(r["step"], r["counted"], r["checkpoint"]) for r in records[::2]] == [
        (0, True, "a.pth"),
        (1, True, "b.pth"),
    ]
    # One that comes before them would have their place.
    before = out.read_text()
    content = torch.load(checkpoint, weights_only=True)["state_dict"]
    content["head.fc.bias"] += 1
    torch.save({"state_dict": content}, tmp_path / "first.pth")
    with pytest.raises(UserError, match=r"first.pth' does not say its iteration and comes before"):
        run(tmp_path / "first.pth", *bare)
    assert out.read_text() == before


@pytest.mark.slow
def test_two_networks_see_the_same_images_and_another_seed_does_not(run, checkpoint, tmp_path):
    headers = []
    for seed in (0, 0, 1):
        _, out = run(checkpoint, seed=seed)
        headers.append(read_records(out)[0])
        out.unlink()
    first, second, third = headers
    assert first["fingerprint"] == second["fingerprint"]
    assert first["settings"]["images"] != third["settings"]["images"]


@pytest.mark.slow
def test_only_what_is_missing_is_measured(run, checkpoint, later, monkeypatch):
    complete, out = run(checkpoint, later)
    lines = out.read_text().splitlines(keepends=True)
    out.write_text("".join(lines[:3]) + lines[3][:40])
    calls = []

    def counted(*args, **kwargs):
        calls.append(args)
        return measure(*args, **kwargs)

    measure = offline.measure
    monkeypatch.setattr(offline, "measure", counted)
    assert run(checkpoint, later)[0] == complete
    assert len(calls) == 2
    run(checkpoint, later)
    assert len(calls) == 2


@pytest.mark.slow
def test_checkpoint_that_was_trained_again_is_measured_again(run, checkpoint, later):
    run(later)
    content = torch.load(later, weights_only=True)
    content["state_dict"]["backbone.conv1.weight"] *= 1.5
    torch.save(content, later)
    records, _ = run(later)
    assert len(records) == 4 and len({r["sha256"] for r in records}) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (dict(batch_norm="eval"), "batch_norm is 'batch' there and 'eval' here"),
        (dict(seed=1), "seed is 0 there and 1 here"),
        (dict(cfg_options={"model.head.topk": [2]}), "the model is another one"),
    ],
)
def test_file_of_another_measurement_is_kept(run, checkpoint, options, named):
    _, out = run(checkpoint)
    before = out.read_bytes()
    with pytest.raises(UserError, match=named):
        run(checkpoint, **options)
    assert out.read_bytes() == before


@pytest.mark.slow
def test_finished_measurements_stay_when_a_checkpoint_has_diverged(run, checkpoint, later):
    content = torch.load(later, weights_only=True)
    content["state_dict"]["head.fc.bias"] *= torch.nan
    torch.save(content, later)
    with pytest.raises(UserError, match=r"epoch_2.pth': 1 of .* not finite \(head.fc.bias\)"):
        run(checkpoint, later)
    _, out = run(checkpoint)
    assert [r["checkpoint"] for r in read_records(out)[1]] == ["epoch_1.pth"] * 2


def test_missing_checkpoint_is_named_before_anything_is_measured(run, checkpoint, tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=r"epoch_9\.pth"):
        run(checkpoint, "epoch_9.pth")
    assert not (tmp_path / "probe.jsonl").exists()


def test_checkpoint_of_another_network_is_named(run, checkpoint, later):
    content = torch.load(later, weights_only=True)
    del content["state_dict"]["head.fc.bias"]
    torch.save(content, later)
    with pytest.raises(CheckpointMismatchError, match=r"epoch_2.*head\.fc\.bias"):
        run(checkpoint, later)
