"""Training and evaluating a detector that starts from the classifier."""

import pickle
import sys
from pathlib import Path

import pytest
from doc_snippets import python_snippet
from mim_packages import mim_package
from suite import made_once
from tiny_runs import (
    DETECTOR,
    forget_runs,
    only_error,
    read_checkpoint,
    read_log,
    read_scalars,
    write_config,
)

from gcp_mm.engine.config import load_config
from gcp_mm.engine.runner import train


@pytest.fixture(scope="module")
def detector(scenes, trained, repo):
    path = scenes.parent / "tiny_mask_rcnn.py"
    pretrained = trained[0] / "epoch_3.pth"
    return write_config(path, DETECTOR, repo=repo, data=scenes, pretrained=pretrained)


@pytest.fixture(scope="module")
def detector_run(detector, tmp_path_factory):
    def run():
        work_dir = tmp_path_factory.mktemp("detector")
        train(load_config(str(detector), work_dir=str(work_dir)))
        forget_runs()
        return work_dir

    return made_once(tmp_path_factory, "detector_run", run)


def test_backbone_starts_from_the_whole_classifier(detector_run, trained):
    classifier = read_checkpoint(trained[0] / "epoch_3.pth")["state_dict"]
    names = [name for name in classifier if name.startswith("backbone.")]
    number = sum("num_batches" not in name for name in names)
    assert f"loaded {number} of {number} tensors" in read_log(detector_run)
    detector = read_checkpoint(detector_run / "epoch_1.pth")["state_dict"]
    assert {name for name in detector if name.startswith("backbone.")} == set(names)
    # The first stage is frozen, so after training it still is what was loaded.
    frozen = [name for name in names if name.startswith(("backbone.conv1", "backbone.layer1"))]
    assert len(frozen) > 10
    assert all(detector[name].equal(classifier[name]) for name in frozen)
    assert not detector["backbone.layer4.0.conv1.weight"].equal(
        classifier["backbone.layer4.0.conv1.weight"]
    )


def test_losses_and_metrics_are_logged(detector_run):
    steps, epochs = read_scalars(detector_run)
    assert set(steps) == {1, 2}
    assert all(record["loss"] > record["loss_mask"] > 0 for record in steps.values())
    (metrics,) = epochs.values()
    assert {"coco/bbox_mAP", "coco/segm_mAP"} <= set(metrics)


@pytest.mark.filterwarnings("ignore:.* out of bounds")
def test_round_trip(call_tool, detector, detector_run, tmp_path):
    code, output, errors = call_tool(
        *("tools/test.py", detector, detector_run / "epoch_1.pth", "--work-dir", tmp_path / "work"),
        *("--out", tmp_path / "out.pkl", "--show-dir", tmp_path / "shown"),
    )
    assert code == 0, errors
    results = pickle.loads((tmp_path / "out.pkl").read_bytes())
    assert len(results) == 2
    instances = results[0]["pred_instances"]
    assert 0 < len(instances["scores"]) == len(instances["masks"]) <= 10
    assert len(list((tmp_path / "shown").rglob("*.jpg"))) == 2
    _, epochs = read_scalars(detector_run)
    (metrics,) = epochs.values()
    assert f"coco/segm_mAP: {metrics['coco/segm_mAP']:.4f}" in output


def test_the_inferencer_of_the_docs_draws_what_it_finds(
    run_warm, detector, detector_run, scenes, tmp_path
):
    path = min((scenes / "val2017").iterdir())
    code = python_snippet(
        "docs/inference.md",
        "DetInferencer",
        **{"work_dirs/mine/mine.py": detector},
        **{"work_dirs/mine/epoch_12.pth": detector_run / "epoch_1.pth"},
        **{"street.jpg": path, "shown": tmp_path / "shown"},
    )
    process = run_warm("-c", code)
    assert process.returncode == 0, process.stderr
    labels, scores = process.stdout.strip().splitlines()[-1].split("] [")[:2]
    assert labels.count(",") == scores.count(",")
    assert (tmp_path / "shown" / "vis" / path.name).is_file()


def test_mim_evaluates_it_with_the_tool_of_mmdet(
    run_warm, warm_env, detector, detector_run, tmp_path
):
    mim = Path(sys.executable).with_name("mim")
    if not mim.exists():
        pytest.skip("openmim is not installed")
    process = run_warm(
        *(
            warm_env["PYTHON"],
            mim,
            "test",
            mim_package("mmdetection"),
            detector,
            "--launcher",
            "none",
        ),
        *("--checkpoint", detector_run / "epoch_1.pth", "--work-dir", tmp_path),
    )
    assert process.returncode == 0, process.stderr
    _, epochs = read_scalars(detector_run)
    (metrics,) = epochs.values()
    assert f"coco/segm_mAP: {metrics['coco/segm_mAP']:.4f}" in process.stdout


@pytest.mark.parametrize(
    ("checkpoint", "options", "message"),
    [
        ("classifier", [], "neck.reduce.conv.weight"),
        ("detector", ["model.backbone.depth=34"], "backbone.layer1.2.conv1.weight"),
        ("detector", ["model.roi_head.mask_head.num_classes=4"], "roi_head.mask_head.conv_logits"),
        ("detector", ["test_evaluator.ann_file=absent.json"], "(test_evaluator.ann_file"),
    ],
)
def test_checkpoint_that_does_not_fit_is_refused(
    call_tool, detector, detector_run, trained, tmp_path, checkpoint, options, message
):
    folder = trained[0] if checkpoint == "classifier" else detector_run
    call = call_tool(
        *("tools/test.py", detector, folder / "epoch_1.pth", "--work-dir", tmp_path),
        *(["--cfg-options", *options] if options else []),
    )
    assert message in only_error(*call)


def test_weights_of_another_architecture_do_not_start_a_training(call_tool, detector, tmp_path):
    call = call_tool(
        *("tools/train.py", detector, "--work-dir", tmp_path),
        *("--cfg-options", "model.backbone.depth=34"),
    )
    assert "The checkpoint belongs to another architecture" in only_error(*call)
