"""No checkpoint is lost to a kill, and nothing of another run is removed."""

import logging
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from tiny_runs import forget_runs, largest_difference, read_checkpoint

from engine import counting
from engine.counting import best_files, counting_runner
from gcp_mm.errors import UserError

BEST = "best_accuracy_top1_epoch_{}.pth"


@pytest.fixture(autouse=True)
def fresh():
    yield
    forget_runs()


def train(work_dir, epochs=5, **changes):
    try:
        counting_runner(work_dir, epochs, **changes).train()
    finally:
        forget_runs()


@pytest.fixture(scope="module")
def run_killed(loaded_env):
    return partial(counting.run_killed, loaded_env)


def names(folder):
    return sorted(path.name for path in folder.glob("*.pth"))


def info(path):
    return read_checkpoint(path)["message_hub"]["runtime_info"]


SETTINGS = {
    "epochs": {},
    "one kept": {"hook": dict(max_keep_ckpts=1)},
    "two metrics": {
        "hook": dict(save_best=["accuracy/top1", "loss/top1"], rule=["greater", "less"])
    },
    "iterations": {
        "train_cfg": dict(by_epoch=False, max_iters=10, val_interval=2),
        "hook": dict(by_epoch=False, interval=2),
    },
}


@pytest.fixture(scope="module", params=SETTINGS)
def straight(request, tmp_path_factory):
    """Return the settings of a run and the folder of one without interruption."""
    folder = tmp_path_factory.mktemp("straight")
    train(folder, **SETTINGS[request.param])
    return SETTINGS[request.param], folder


# The second epoch's validation is cut; the old best is about to be removed, or has been; the
# latest checkpoint is not yet written again. `make trials` goes through every event.
@pytest.mark.parametrize(
    ("kind", "event"), [("process", 6), ("remove", 1), ("remove", 2), ("replace", 14)]
)
def test_run_that_was_killed_ends_as_one_that_was_not(straight, run_killed, tmp_path, kind, event):
    settings, expected = straight
    run = tmp_path / "run"
    assert run_killed(partial(train, run, **settings), event, kind)
    before = names(run)
    assert any(not name.startswith("best_") for name in before)
    train(run, resume=True, **settings)
    assert names(run) == names(expected)
    last = "iter_10.pth" if "train_cfg" in settings else "epoch_5.pth"
    for name in (last, *best_files(expected)):
        found, wanted = (read_checkpoint(folder / name) for folder in (run, expected))
        assert largest_difference(found["state_dict"], wanted["state_dict"]) == 0
        scores, right = (
            {
                key: value
                for key, value in file["message_hub"]["runtime_info"].items()
                if "best_s" in key
            }
            for file in (found, wanted)
        )
        assert scores == right != {}
        assert found.get("param_schedulers") == wanted.get("param_schedulers")


def test_old_files_are_removed_after_the_new_ones_are_written(run_killed, tmp_path):
    train(tmp_path, 2, hook=dict(max_keep_ckpts=1))
    assert names(tmp_path) == [BEST.format(2), "epoch_2.pth"]
    # The write of epoch 3 does not succeed: everything is still there.
    assert run_killed(
        partial(train, tmp_path, 3, resume=True, hook=dict(max_keep_ckpts=1)), 1, "replace"
    )
    assert names(tmp_path) == [BEST.format(2), "epoch_2.pth"]


def test_checkpoints_of_chosen_epochs_are_kept(tmp_path):
    train(tmp_path, 4, hook=dict(max_keep_ckpts=1, save_best=None, keep=[2]))
    assert names(tmp_path) == ["epoch_2.pth", "epoch_4.pth"]


def test_copied_run_goes_on_without_its_original(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train(first, 2)
    shutil.copytree(first, second)
    files = {name: (first / name).read_bytes() for name in names(first)}
    train(second, 4, load_from=str(second / "epoch_2.pth"), resume=True)
    assert best_files(second) == [BEST.format(4)]
    assert {name: (first / name).read_bytes() for name in names(first)} == files


def test_run_that_continues_another_leaves_its_files_and_keeps_its_score(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train(first, 2, hook=dict(max_keep_ckpts=2))
    files = {name: (first / name).read_bytes() for name in names(first)}
    (second).mkdir()
    for name in ("epoch_1.pth", "notes.txt"):
        (second / name).write_text("of an earlier run")
    source = dict(load_from=str(first / "epoch_2.pth"), resume=True, hook=dict(max_keep_ckpts=2))
    train(second, 3, **source)
    # 0.5 after epoch 3 is not better than 0.6 after epoch 2.
    assert best_files(second) == []
    assert info(second / "epoch_3.pth")["best_score"] == 0.6
    train(second, 5, **source)
    assert names(second) == [BEST.format(4), "epoch_1.pth", "epoch_4.pth", "epoch_5.pth"]
    assert (second / "epoch_1.pth").read_text() == "of an earlier run"
    assert {name: (first / name).read_bytes() for name in names(first)} == files


HOSTILE = {
    "file": "{outside}/precious.txt",
    "folder": "{outside}",
    "best elsewhere": "{outside}/best_accuracy_top1_epoch_1.pth",
    "relative": "{run}/../outside/best_accuracy_top1_epoch_1.pth",
    "other file of the run": "{run}/settings.txt",
    "latest": "{run}/epoch_1.pth",
    "no text": 7,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_path_in_a_checkpoint_is_never_removed(tmp_path, kind):
    run, outside = tmp_path / "run", tmp_path / "outside"
    train(run, 1)
    outside.mkdir()
    kept = [outside / "precious.txt", outside / BEST.format(1), run / "settings.txt"]
    for path in kept:
        path.write_text("kept")
    checkpoint = read_checkpoint(run / "epoch_1.pth")
    value = HOSTILE[kind]
    if isinstance(value, str):
        value = value.format(run=run, outside=outside)
    entries = checkpoint["message_hub"]["runtime_info"]
    entries.update(best_ckpt=value, keep_ckpt_ids=[value, "../../x"], replaced_best_ckpts=[value])
    torch.save(checkpoint, run / "epoch_1.pth")
    train(run, 2, resume=True, hook=dict(max_keep_ckpts=1))
    assert [path.read_text() for path in kept] == ["kept"] * 3
    assert BEST.format(2) in names(run) and "epoch_2.pth" in names(run)


def test_checkpoint_without_the_note_is_validated_and_says_so(tmp_path, caplog):
    train(tmp_path, 1)
    (tmp_path / BEST.format(1)).unlink()
    checkpoint = read_checkpoint(tmp_path / "epoch_1.pth")
    for name in ("last_validated", "best_score", "best_ckpt"):
        del checkpoint["message_hub"]["runtime_info"][name]
    torch.save(checkpoint, tmp_path / "epoch_1.pth")
    with caplog.at_level(logging.INFO):
        train(tmp_path, 1, resume=True, log_level="INFO")
    assert best_files(tmp_path) == [BEST.format(1)]
    assert info(tmp_path / "epoch_1.pth")["last_validated"] == 1


@pytest.mark.parametrize("kind", [np.float32, np.float64, torch.tensor])
def test_best_score_of_a_metric_in_another_form_counts(tmp_path, kind):
    train(tmp_path, 1)
    checkpoint = read_checkpoint(tmp_path / "epoch_1.pth")
    checkpoint["message_hub"]["runtime_info"]["best_score"] = kind(9.0)
    torch.save(checkpoint, tmp_path / "epoch_1.pth")
    train(tmp_path, 2, resume=True)
    assert best_files(tmp_path) == [BEST.format(1)]
    assert info(tmp_path / "epoch_2.pth")["best_score"] == 9.0


def test_epochs_without_a_validation_are_not_validated_later(run_killed, tmp_path):
    settings = dict(train_cfg=dict(by_epoch=True, max_epochs=4, val_interval=2))
    assert run_killed(partial(train, tmp_path, **settings), 1, "process")
    source = str(tmp_path / "epoch_1.pth")
    # Killed before it validates anything: the validation of epoch 2 comes first.
    assert run_killed(
        partial(train, tmp_path, resume=True, load_from=source, **settings), 1, "process"
    )
    assert best_files(tmp_path) == []
    assert info(tmp_path / "epoch_2.pth")["epoch"] == 1


def test_metric_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(
        UserError, match=r"save_best='accuracy' is none of the metrics \(acc.*'auto'"
    ):
        train(tmp_path, 1, hook=dict(save_best="accuracy"))


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    train(tmp_path, 1)
    runner = counting_runner(tmp_path, 2, resume=True, hook=dict(max_keep_ckpts=1), custom_hooks=[])
    call_hook = runner.call_hook

    def ruin_first(name, **kwargs):
        if name == "after_train_epoch":
            runner.model.linear.weight.data.fill_(float("inf"))
        call_hook(name, **kwargs)

    runner.call_hook = ruin_first
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    with pytest.raises(UserError, match=r"1 weights are not finite \(linear.weight\).*epoch_1.pth"):
        runner.train()
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
