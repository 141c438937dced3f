"""``--resume`` finds the last complete checkpoint."""

import pytest
from mmengine.runner import find_latest_checkpoint

from gcp_mm.engine.runner import latest_checkpoint


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
