"""A run that is cut short writes what it keeps back until its end.

``--resume`` finds the last complete checkpoint.
"""

import copy
import threading
from types import SimpleNamespace

import pytest
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, VISBACKENDS
from mmengine.runner import find_latest_checkpoint
from mmengine.visualization import BaseVisBackend
from tiny_runs import forget_runs

from gcp_mm.engine import runner as cut_short
from gcp_mm.engine.config import load_config
from gcp_mm.engine.runner import finished, latest_checkpoint, train
from gcp_mm.engine.runner import test as evaluate


@VISBACKENDS.register_module()
class Buffered(BaseVisBackend):
    """Keeps its numbers until it is closed, as TensorBoard's does for two minutes."""

    sent = None

    def __init__(self, save_dir):
        super().__init__(save_dir)
        self.steps = []

    def _init_env(self):
        pass

    @property
    def experiment(self):
        return self

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs):
        self.steps.append(step)

    def close(self):
        type(self).sent = self.steps


@HOOKS.register_module()
class Interrupt(Hook):
    """Ctrl-C after two iterations."""

    priority = "LOWEST"

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 1:
            raise KeyboardInterrupt


def test_numbers_of_an_interrupted_training_are_sent(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(Buffered, "sent", None)
    cfg = load_config(str(classifier), None, str(tmp_path))
    cfg.custom_hooks.append(dict(type="mmengine.Interrupt"))
    cfg.visualizer.vis_backends = [dict(type="mmengine.Buffered")]
    try:
        with pytest.raises(KeyboardInterrupt):
            train(cfg)
    finally:
        forget_runs()
    assert Buffered.sent == [1, 2]


def test_a_config_serves_for_several_runs(classifier, trained, tmp_path):
    cfg = load_config(str(classifier), {"resume": True}, str(tmp_path))
    # A test needs none of the training, also of a config that continues it.
    cfg.train_dataloader.dataset.data_root = "/absent"
    before = copy.deepcopy(cfg)
    contents = []
    for epoch in (1, 2):
        out = tmp_path / f"{epoch}.pkl"
        evaluate(cfg, str(trained[0] / f"epoch_{epoch}.pth"), out=str(out))
        contents.append(out.read_bytes())
        forget_runs()
    assert (tmp_path / "1.pkl").read_bytes() == contents[0] != contents[1]
    assert cfg._cfg_dict == before._cfg_dict


def runner(close):
    said = []
    return SimpleNamespace(call_hook=said.append, visualizer=SimpleNamespace(close=close)), said


def test_only_runs_that_are_cut_short_are_closed():
    closed = []
    whole, said = runner(lambda: closed.append(1))
    with finished(whole):
        pass
    assert closed == said == []
    with pytest.raises(ZeroDivisionError), finished(whole):
        raise ZeroDivisionError
    assert closed == [1] and said == ["after_cut"]


def test_visualizer_that_hangs_or_fails_hides_no_error(monkeypatch, capsys):
    # The logger of an earlier run would write to the screen that was there then.
    forget_runs()
    monkeypatch.setattr(cut_short, "_PATIENCE", 0.05)
    end = threading.Event()

    def fail():
        raise OSError("no way to the server")

    for close, reason in ((end.wait, "not within 0.05 s"), (fail, "OSError: no way to the server")):
        with pytest.raises(ZeroDivisionError), finished(runner(close)[0]):
            raise ZeroDivisionError
        assert f"could not be closed ({reason}): its last numbers may be" in capsys.readouterr().out
    end.set()


@pytest.fixture
def run(tmp_path):
    for name in ("epoch_2.pth", "epoch_9.pth", "epoch_10.pth", "best_accuracy_top1_epoch_99.pth"):
        (tmp_path / name).touch()
    return tmp_path


def test_named_checkpoint_is_mmengines_choice(run):
    (run / "last_checkpoint").write_text(str(run / "epoch_9.pth"))
    assert latest_checkpoint(run) == find_latest_checkpoint(run) == str(run / "epoch_9.pth")


@pytest.mark.parametrize("pointer", ["", "\n", None, "/gone/epoch_11.pth"])
def test_broken_pointer_falls_back_to_the_highest_number(run, pointer):
    if pointer is not None:
        (run / "last_checkpoint").write_text(pointer)
    assert latest_checkpoint(run) == str(run / "epoch_10.pth")


def test_moved_folder_is_followed(run):
    (run / "last_checkpoint").write_text("/somewhere/else/epoch_9.pth")
    assert latest_checkpoint(run) == str(run / "epoch_9.pth")


def test_no_checkpoint(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "absent") is None
