"""The hook writes what the probe gives, and the training does not notice it."""

import json
import os
import re
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from tiny_runs import ITERATIONS, forget_runs, read_checkpoint, read_scalars, write_config
from torch import nn

from gcp_mm.engine.config import load_config
from gcp_mm.engine.runner import train
from gcp_mm.errors import FileHeldError, UserError
from gcp_mm.landscape.hook import LandscapeHook
from gcp_mm.landscape.offline import probe_checkpoints
from gcp_mm.landscape.records import RecordFile, read_records
from gcp_mm.landscape.settings import resolve
from gcp_mm.locks import hold_file

# One stage, batch norms that learn, dropout, and augmentation that draws random numbers.
CONFIG = """
_base_ = '{classifier}'

model = dict(
    backbone=dict(
        norm_eval=False, num_stages=1, strides=[1], dilations=[1], out_indices=[0]),
    neck=dict(in_channels=16, norm_cfg=dict(_delete_=True, type='BN')),
    head=dict(type='gcp_mm.DropoutLinearClsHead', dropout_rate=0.3))
pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
"""
NO_DROPOUT = {"model.head.dropout_rate": 0.0}
ETAS = [0.1, 5.0, 75.0]
EVERY = 3


@pytest.fixture(scope="module")
def config(classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("augmented") / "augmented.py"
    return write_config(path, CONFIG, classifier=classifier)


@pytest.fixture(scope="module")
def run(config):
    """Train in this process."""

    def start(work_dir, resume=False, epochs=3, wrapper="OptimWrapper", options=None, **hook):
        cfg = load_config(str(config), options, str(work_dir))
        cfg.train_cfg.update(max_epochs=epochs, val_interval=9)
        cfg.default_hooks.checkpoint.max_keep_ckpts = -1
        cfg.optim_wrapper.type = wrapper
        if hook:
            cfg.custom_hooks.append(dict(type="gcp_mm.LandscapeHook", **hook))
        try:
            train(cfg, resume=resume)
        finally:
            forget_runs()

    return start


@pytest.fixture(scope="module")
def probed(run, tmp_path_factory):
    """Return the work folder of a whole run with the hook."""
    work_dir = tmp_path_factory.mktemp("probed")
    run(work_dir, interval=EVERY, etas=ETAS)
    return work_dir


def assert_same_weights(found, expected):
    for name in ("epoch_1.pth", "epoch_3.pth"):
        one, two = (read_checkpoint(folder / name) for folder in (found, expected))
        assert one["state_dict"].keys() == two["state_dict"].keys()
        for key, tensor in two["state_dict"].items():
            assert torch.equal(one["state_dict"][key], tensor), key


def test_training_is_bit_for_bit_that_without_the_hook(probed, run, tmp_path):
    run(tmp_path)
    assert_same_weights(probed, tmp_path)
    steps, epochs = read_scalars(tmp_path)
    with_hook, _ = read_scalars(probed)
    assert [with_hook[step]["loss"] for step in steps] == [r["loss"] for r in steps.values()]
    # The comparison can fail: another seed gives other weights.
    run(tmp_path / "other", epochs=1, options={"randomness.seed": 1})
    one, other = (
        read_checkpoint(folder / "epoch_1.pth")["state_dict"]["backbone.conv1.weight"]
        for folder in (probed, tmp_path / "other")
    )
    assert not torch.equal(one, other)


def test_every_interval_has_its_record(probed):
    header, records = read_records(probed / "landscape.jsonl")
    assert header["config"] == "augmented" and header["run"] == probed.name
    settings = header["settings"]
    assert settings["at"] == "backbone.maxpool" and settings["etas"] == ETAS
    assert (settings["batch_size"], settings["interval"]) == (4, EVERY)
    assert [r["step"] for r in records] == list(range(0, 3 * ITERATIONS, EVERY))
    assert [r["epoch"] for r in records] == [1 + step // ITERATIONS for step in (0, 3, 6, 9)]
    for record in records:
        assert record["kind"] == "probe" and record["batch_size"] == 4
        assert len(record["losses"]) == len(record["grad_diffs"]) == len(record["beta"]) == 3
        assert record["seed"] == 0
    # The schedule divides the rate by ten after two epochs.
    assert np.allclose([r["lr"] for r in records], [0.01, 0.01, 0.01, 0.001])


def test_band_goes_to_the_visualizer(probed):
    _, records = read_records(probed / "landscape.jsonl")
    (file,) = probed.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    bands = [line for line in lines if "landscape/loss_min" in line]
    assert len(bands) == len(records)
    for band, record in zip(bands, records, strict=True):
        assert band["step"] == record["step"]
        for name, values in (("loss", record["losses"]), ("grad_diff", record["grad_diffs"])):
            assert band[f"landscape/{name}_min"] == pytest.approx(min(values))
            assert band[f"landscape/{name}_max"] == pytest.approx(max(values))


def test_loss_is_that_of_the_batch_before_its_step(probed, run, tmp_path):
    """Without dropout, the training loss of an iteration is the base loss of its probe."""
    run(tmp_path, epochs=2, options=NO_DROPOUT, interval=EVERY, etas=ETAS)
    for folder, same in ((tmp_path, True), (probed, False)):
        records, (steps, _) = read_records(folder / "landscape.jsonl")[1], read_scalars(folder)
        # What mmengine logs as step s + 1 is the iteration s from 0.
        pairs = [(record["loss"], steps[record["step"] + 1]["loss"]) for record in records]
        assert np.allclose(*zip(*pairs, strict=True), rtol=1e-5) == same


def test_resumed_run_has_neither_gap_nor_duplicate(run, tmp_path):
    # A resumed run draws other random numbers, so there are none here.
    image = [dict(type="LoadImageFromFile", imdecode_backend="pillow"), dict(type="PackInputs")]
    options = {**NO_DROPOUT, "train_dataloader.dataset.pipeline": image}
    hook = dict(interval=EVERY, etas=ETAS, options=options)
    run(tmp_path, **hook)
    file = tmp_path / "landscape.jsonl"
    complete = read_records(file)[1]
    # As if it had been killed in the second epoch, while it wrote the record of iteration 6.
    for epoch in (2, 3):
        (tmp_path / f"epoch_{epoch}.pth").unlink()
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_1.pth"))
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:3]) + lines[3][:50])
    run(tmp_path, resume=True, **hook)
    assert read_records(file)[1] == complete and len(complete) == 4


def test_resuming_with_other_settings_keeps_the_file_and_names_them(run, tmp_path):
    hook = dict(interval=EVERY, etas=ETAS)
    run(tmp_path, epochs=1, **hook)
    file = tmp_path / "landscape.jsonl"
    before = file.read_bytes()
    with pytest.raises(UserError, match=r"batch_norm is 'batch' there and 'eval' here"):
        run(tmp_path, resume=True, batch_norm="eval", **hook)
    assert file.read_bytes() == before


def test_new_run_in_the_same_folder_sets_the_old_records_aside(run, tmp_path):
    for _ in range(2):
        run(tmp_path, epochs=1, interval=EVERY, etas=ETAS)
    for name in ("landscape.jsonl", "landscape.jsonl.1"):
        assert [r["step"] for r in read_records(tmp_path / name)[1]] == [0, 3]


@pytest.fixture
def interrupted(run, monkeypatch):
    """Call something in place of the second record of a run."""

    def start(work_dir, call):
        append = RecordFile.append

        def second(file, record):
            if record["step"]:
                call(file.path)
            append(file, record)

        with monkeypatch.context() as patch:
            patch.setattr(RecordFile, "append", second)
            run(work_dir, epochs=1, interval=EVERY, etas=ETAS)

    return start


def test_other_writers_are_refused_during_training_and_readers_are_not(
    interrupted, config, probed, tmp_path
):
    """Offline probes append to such a file, too."""
    found = []

    def probe(path):
        before = path.read_bytes()
        cfg = load_config(str(config), None, str(tmp_path))
        with pytest.raises(FileHeldError) as caught:
            probe_checkpoints(cfg, [probed / "epoch_1.pth"], path, batch_size=4, etas=ETAS)
        assert path.read_bytes() == before
        assert read_records(path)[1][0]["step"] == 0
        found.append(str(caught.value))

    interrupted(tmp_path, probe)
    (text,) = found
    path = tmp_path / "landscape.jsonl"
    assert text.startswith(f"{str(path)!r} is being written by process {os.getpid()} on ")
    assert text.endswith("): wait for it, or choose another --out")
    assert [r["step"] for r in read_records(path)[1]] == [0, 3]
    assert not list(tmp_path.glob(".*.lock"))


def test_training_is_refused_while_another_process_writes_the_records(run, tmp_path):
    path = tmp_path / "landscape.jsonl"
    with hold_file(path, "is being written", "wait"):
        with pytest.raises(FileHeldError, match="stop it, or choose another folder"):
            run(tmp_path, epochs=1, interval=EVERY, etas=ETAS)
        assert not path.exists()
    assert not list(tmp_path.glob("epoch_*.pth"))


def test_training_that_was_cut_short_holds_nothing(interrupted, tmp_path):
    def fail(path):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path, fail)
    hold_file(tmp_path / "landscape.jsonl", "is being written", "wait").acquire().release()


def test_next_training_of_a_process_takes_over_what_was_cut_short(interrupted, run, tmp_path):
    """A plain runner tells no hook that it was cut short."""

    def fail(path):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(LandscapeHook, "after_cut")
        with pytest.raises(KeyboardInterrupt):
            interrupted(tmp_path, fail)
    with pytest.raises(FileHeldError):
        hold_file(tmp_path / "landscape.jsonl", "is being written", "wait").acquire()
    run(tmp_path, epochs=1, interval=EVERY, etas=ETAS)
    assert [r["step"] for r in read_records(tmp_path / "landscape.jsonl")[1]] == [0, 3]


def test_two_hooks_do_not_write_one_file(run, tmp_path):
    hook = dict(type="gcp_mm.LandscapeHook", interval=EVERY, etas=ETAS)
    with pytest.raises(FileHeldError, match=r"landscape\.jsonl' is being written by process"):
        run(tmp_path, epochs=1, options={"custom_hooks": [hook, hook]})


@OPTIM_WRAPPERS.register_module()
class BFloat16OnCPU(OptimWrapper):
    """What AmpOptimWrapper does on a GPU, without the scaling of the loss."""

    @contextmanager
    def optim_context(self, model):
        with super().optim_context(model), torch.autocast("cpu", torch.bfloat16):
            yield


def test_mixed_precision_does_not_reach_the_probe(probed, run, tmp_path):
    amp = dict(epochs=1, wrapper="mmengine.BFloat16OnCPU")
    run(tmp_path / "with", interval=EVERY, etas=ETAS, **amp)
    run(tmp_path / "without", **amp)
    one, two, exact = (
        read_checkpoint(folder / "epoch_1.pth")["state_dict"]
        for folder in (tmp_path / "with", tmp_path / "without", probed)
    )
    assert all(torch.equal(one[key], two[key]) for key in two)
    assert not torch.equal(one["head.fc.weight"], exact["head.fc.weight"])
    # The first probe sees the same weights in either precision, the second one does not.
    (first, second), expected = (
        read_records(folder / "landscape.jsonl")[1][:2] for folder in (tmp_path / "with", probed)
    )
    assert first["losses"] == expected[0]["losses"]
    assert second["losses"] != expected[1]["losses"]


def test_failing_probe_is_named_with_its_iteration(run, tmp_path):
    with pytest.raises(UserError, match=r"probe at iteration 0: .* runs more than once"):
        run(tmp_path, interval=1, etas=ETAS, at="backbone.layer1.0.relu")
    assert read_records(tmp_path / "landscape.jsonl")[1] == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (dict(at="backbone.layre1"), "no module 'backbone.layre1'.*backbone.layer1"),
        (dict(etas=[]), "at least one"),
    ],
)
def test_mistake_is_named_before_training(run, tmp_path, options, named):
    with pytest.raises(UserError, match=named):
        run(tmp_path, **options)
    assert not list(tmp_path.glob("epoch_*.pth"))


def test_interval_has_to_be_positive():
    with pytest.raises(UserError, match=re.escape("interval=0")):
        LandscapeHook(interval=0)


@pytest.mark.parametrize(
    ("batch_norm", "processes", "said"),
    [("batch", 4, {"processes": 4}), ("batch", 1, {"processes": 1}), ("eval", 4, {})],
)
def test_share_of_a_process_is_written_down_where_it_matters(batch_norm, processes, said):
    """Batch norms of four processes with 64 images are not those of one with 256."""
    hook = LandscapeHook(interval=1)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    hook._settings = resolve(network, "0", [1.0], "ascent", batch_norm)
    loader = SimpleNamespace(batch_size=256 // processes)
    described = hook._described(SimpleNamespace(train_dataloader=loader, world_size=processes))
    assert described["batch_size"] == 256
    assert {name: described[name] for name in described.keys() & {"processes"}} == said
