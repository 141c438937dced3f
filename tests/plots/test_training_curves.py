import json
import math
import shutil

import pytest

from gcp_mm.errors import UserError
from gcp_mm.plots.training_curves import plot_curves, read_curves, read_runs, say, summarise


def write_log(work_dir, run, records, tail=""):
    path = work_dir / run / "vis_data" / "scalars.json"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)


def step(number, epoch, loss, lr=0.1):
    return {"lr": lr, "loss": loss, "time": 1.0, "epoch": epoch, "iter": number, "step": number}


def validated(epoch, top1):
    return {"accuracy/top1": top1, "data_time": 0.1, "time": 0.2, "step": epoch}


@pytest.fixture
def work_dir(tmp_path):
    """A run that was killed in epoch 3 and resumed after epoch 2, which was validated twice."""
    folder = tmp_path / "resnet"
    first = [step(2, 1, 4.0), step(4, 1, 2.0), validated(1, 30.0)]
    first += [step(6, 2, 1.5, lr=0.05), validated(2, 40.0), step(8, 3, 9.0)]
    # Not a validation: what LandscapeHook logs in iteration 2.
    first += [{"landscape/loss_min": 1.0, "landscape/loss_max": 2.0, "step": 2}]
    write_log(folder, "20260101_000000", first, tail='{"lr": 0.1, "los')
    write_log(folder, "20260101_010000", [step(8, 3, 1.0, lr=0.01), validated(3, 55.5)])
    return folder


def test_curves_of_a_resumed_run(work_dir):
    curves = read_curves(work_dir)
    assert (curves.name, curves.epochs) == ("resnet", [1, 2, 3])
    assert curves.metrics == {"accuracy/top1": [30.0, 40.0, 55.5]}
    assert curves.train_loss == [3.0, 1.5, 1.0]
    assert curves.lr == [0.1, 0.05, 0.01]


def test_curves_of_a_real_run(trained):
    curves = read_curves(trained[0])
    assert curves.epochs == [1, 2, 3]
    assert set(curves.metrics) == {"accuracy/top1"}
    # The schedule divides by ten after the second epoch.
    assert curves.lr == pytest.approx([0.01, 0.01, 0.001])


def test_metric_that_some_epochs_lack(tmp_path):
    """As of a detector that finds nothing at first, or whose loss is none."""
    times, box_ap = {"data_time": 0.1, "time": 0.2}, {"coco/bbox_mAP": 0.1234}
    records = [step(1, 1, 4.0), {**times, "step": 1}, step(2, 2, 2.0), {**box_ap, "step": 2}]
    records += [step(3, 3, 1.0), {**times, "coco/bbox_mAP": math.nan, "step": 3}]
    write_log(tmp_path / "detector", "20260101_000000", records)
    run = read_curves(tmp_path / "detector")
    assert run.metrics == {
        "coco/bbox_mAP": pytest.approx([math.nan, 0.1234, math.nan], nan_ok=True)
    }
    said = say(run, "coco/bbox_mAP")
    assert said == "detector: coco/bbox_mAP nan after epoch 3, best 0.1234 after epoch 2"
    plot_curves([run], "coco/bbox_mAP", tmp_path / "curves.svg")
    (found,) = json.loads(json.dumps(summarise([run], []), allow_nan=False))["runs"]
    assert found["metrics"]["coco/bbox_mAP"] == [None, 0.1234, None]


def test_runs_of_one_name_are_told_apart(work_dir, tmp_path):
    """As those of a plan, which are all called `train`."""
    folders = [work_dir.rename(tmp_path / "train")]
    for name in ("a/gap", "b/gap"):
        folders.append(tmp_path / name / "train")
        shutil.copytree(folders[0], folders[-1])
    assert [run.name for run in read_runs(folders[1:])] == ["a/gap/train", "b/gap/train"]
    assert [run.name for run in read_runs(folders[1:2])] == ["train"]
    with pytest.raises(UserError, match=r"a/gap/train' is there twice"):
        read_runs([folders[1], tmp_path / "a/../a/gap/train"])


def test_folder_without_a_log_and_run_without_an_epoch(tmp_path):
    with pytest.raises(UserError, match="not a work folder"):
        read_curves(tmp_path)
    write_log(tmp_path, "20260101_000000", [step(1, 1, 1.0)])
    with pytest.raises(UserError, match="no epoch has been validated"):
        read_curves(tmp_path)


def test_clock_that_went_back(work_dir):
    expected = read_curves(work_dir)
    (work_dir / "20260101_010000").rename(work_dir / "20251231_230000")
    assert read_curves(work_dir) == expected


def test_run_that_went_on_from_an_older_checkpoint(work_dir):
    again = [step(4, 1, 7.0), validated(1, 9.0), step(6, 2, 1.0), validated(2, 8.0)]
    write_log(work_dir, "20260101_020000", [*again, step(8, 3, 0.5), validated(3, 7.0)])
    assert read_curves(work_dir).train_loss == [5.5, 1.0, 0.5]


def test_run_that_began_anew_has_nothing_of_the_one_before(work_dir):
    write_log(work_dir, "20260101_020000", [step(2, 1, 7.0), validated(1, 9.0), step(6, 2, 6.0)])
    curves = read_curves(work_dir)
    assert (curves.epochs, curves.train_loss) == ([1], [7.0])
    assert curves.metrics == {"accuracy/top1": [9.0]}


def test_evaluation_before_the_training_is_no_clock_that_went_back(work_dir, caplog):
    expected = read_curves(work_dir)
    write_log(work_dir, "20251231_230000", [{"accuracy/top1": 9.0, "step": 3}])
    assert read_curves(work_dir) == expected
    assert "clock" not in caplog.text
    (work_dir / "20260101_010000").rename(work_dir / "20251231_233000")
    assert read_curves(work_dir) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[1, 2]\n", "line 1 has no numbers step"),
        (b'{"step": "x"}\n', "line 1 has no numbers step"),
        (b'{"lr": 0.1, "step": 1}\n', "line 1 has no numbers step, epoch, loss"),
        (b'{"lr": 0.1, "loss": 1.0, "iter": 50, "step": 50}\n', "counts iterations and no epochs"),
        (b'{"step"\n{"step": 1}\n', "line 1"),
        (b"\x80\xff", "cannot be read"),
        (b"[" * 100_000 + b"\n{}", "line 1"),
    ],
)
def test_log_of_another_form_is_named(tmp_path, content, reason):
    write_log(tmp_path, "20260101_000000", [])
    (tmp_path / "20260101_000000/vis_data/scalars.json").write_bytes(content)
    with pytest.raises(UserError, match=rf"scalars.json'.*{reason}"):
        read_curves(tmp_path)


def test_figure_and_missing_metric(work_dir, tmp_path):
    runs = [read_curves(work_dir)]
    text = plot_curves(runs, "accuracy/top1", tmp_path / "curves.svg").read_text()
    assert ">resnet<" in text and ">validation accuracy/top1<" in text
    with pytest.raises(UserError, match=r"'resnet' logged no 'mAP'; it has \['accuracy/top1'\]"):
        plot_curves(runs, "mAP", tmp_path / "other.svg")


def test_summary_names_commands_and_versions(work_dir):
    summary = summarise([read_curves(work_dir)], ["train it"])
    assert summary["commands"] == ["train it"]
    assert summary["runs"][0]["metrics"] == {"accuracy/top1": [30.0, 40.0, 55.5]}
    import torch

    assert summary["environment"]["PyTorch"] == torch.__version__
