"""Tools of mmpretrain and mmdet on configs of this project, as ``mim run`` starts them."""

from importlib import metadata

import mmengine.utils.progressbar  # noqa: F401  (its bars write to the output of this moment)
import numpy as np
import pytest
import torch
from coco_files import CLASSES
from mim_packages import mim_package, upstream_tool
from mmengine.config import Config
from packaging.version import Version
from random_weights import randomise
from tiny_runs import DETECTOR, write_config

from gcp_mm.zoo.rows import zoo_root

CONFIGS = zoo_root() / "configs"


def version(package):
    return Version(metadata.version(package))


@pytest.fixture
def use(call_tool):
    """Run a tool in this process; return what it says."""

    def run(package, tool, *arguments):
        code, output, errors = call_tool(upstream_tool(package, tool), *arguments)
        assert code == 0, errors
        return output + errors

    return run


@pytest.fixture
def run_mim(run_warm):
    """Run a tool as a user does; return what it says."""

    def run(project, tool, *arguments):
        process = run_warm("-m", "mim", "run", mim_package(project), tool, *arguments)
        assert process.returncode == 0, process.stderr
        return process.stdout + process.stderr

    return run


@pytest.fixture(scope="module")
def detector(scenes, repo):
    path = scenes.parent / "tools_mask_rcnn.py"
    return write_config(path, DETECTOR, repo=repo, data=scenes, pretrained="absent.pth")


@pytest.fixture
def box_detector(detector, tmp_path):
    """Return the config of a detector without masks, and a checkpoint of random weights."""
    from mmdet.registry import MODELS

    cfg = Config.fromfile(detector)
    without = dict(mask_head=None, mask_roi_extractor=None)
    cfg.merge_from_dict(
        {
            "model.backbone.init_cfg": None,
            **{f"model.roi_head.{name}": value for name, value in without.items()},
            "test_evaluator.metric": "bbox",
        }
    )
    config, checkpoint = tmp_path / "box_detector.py", tmp_path / "box_detector.pth"
    cfg.dump(config)
    network = randomise(MODELS.build(cfg.model))
    meta = {"dataset_meta": {"classes": CLASSES}}
    torch.save({"meta": meta, "state_dict": network.state_dict()}, checkpoint)
    return config, checkpoint


@pytest.mark.parametrize(
    ("package", "config"),
    [
        ("mmpretrain", "imagenet/resnet18_gcp_lrnorm.py"),
        ("mmpretrain", "landscape/mobilenetv2_gcp_landscape.py"),
        ("mmdet", "mask_rcnn_r50_gcpm.py"),
        ("mmdet", "faster_rcnn_r101_gcpd.py"),
    ],
)
def test_print_config(use, package, config):
    printed = use(package, "misc/print_config.py", CONFIGS / config)
    assert "gcp_mm.WorkFolderHook" in printed


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["original", "pipeline"])
def test_browse_classification(use, classifier, tmp_path, mode):
    if mode != "original" and version("matplotlib") >= Version("3.10"):
        pytest.skip("mmpretrain calls a function of an older matplotlib")
    tool = "visualization/browse_dataset.py"
    use("mmpretrain", tool, classifier, "-o", tmp_path, "-m", mode, "-n", "3")
    assert len(list(tmp_path.rglob("*.png"))) == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* out of bounds")
def test_browse_detection(use, detector, tmp_path):
    tool = "analysis_tools/browse_dataset.py"
    use("mmdet", tool, detector, "--output-dir", tmp_path, "--not-show")
    assert len(list(tmp_path.rglob("*.*"))) == 4


@pytest.mark.training
def test_flops_and_schedule_of_a_classifier(use, classifier, tmp_path):
    said = use("mmpretrain", "analysis_tools/get_flops.py", classifier, "--shape", "32")
    assert "Flops" in said
    figure = tmp_path / "schedule.png"
    arguments = (classifier, "--dataset-size", "64", "--save-path", figure)
    use("mmpretrain", "visualization/vis_scheduler.py", *arguments)
    assert figure.stat().st_size > 0


def test_images_of_class_folders_are_verified(use, classifier, tmp_path):
    arguments = ("--out-path", tmp_path / "broken.log", "--num-process", "1", "--phase", "train")
    said = use("mmpretrain", "misc/verify_dataset.py", classifier, *arguments)
    assert "There is no broken file found." in said


def test_confusion_matrix_of_a_checkpoint(use, classifier, trained, tmp_path):
    arguments = (classifier, trained[0] / "epoch_3.pth", "--show-path", tmp_path / "matrix.png")
    use("mmpretrain", "analysis_tools/confusion_matrix.py", *arguments)
    assert (tmp_path / "matrix.png").stat().st_size > 0


def test_weights_alone_can_be_published(use, call_tool, trained, tmp_path):
    """mmpretrain's tool cannot read a training checkpoint under today's torch."""
    plain = tmp_path / "plain.pth"
    source = trained[0] / "epoch_3.pth"
    code, _, errors = call_tool("tools/convert_checkpoint.py", source, plain, "--weights-only")
    assert code == 0, errors
    use("mmpretrain", "model_converters/publish_model.py", plain, tmp_path / "out.pth")
    (published,) = tmp_path.glob("out_*.pth")
    assert published.stat().st_size > 0


def test_flops_of_a_detector(use, detector):
    said = use("mmdet", "analysis_tools/get_flops.py", detector, "--num-images", "1")
    assert "Flops" in said


def test_curves_of_a_training(use, trained, tmp_path):
    (scalars,) = trained[0].glob("*/vis_data/scalars.json")
    figure = tmp_path / "loss.png"
    arguments = ("plot_curve", scalars, "--keys", "loss", "--out", figure)
    use("mmpretrain", "analysis_tools/analyze_logs.py", *arguments)
    assert figure.stat().st_size > 0


def test_flipped_images_are_averaged(use, classifier, trained, tmp_path):
    arguments = (classifier, trained[0] / "epoch_3.pth", "--tta", "--work-dir", tmp_path)
    assert "accuracy/top1" in use("mmpretrain", "test.py", *arguments)


def test_features_are_embedded(run_mim, classifier, trained, tmp_path):
    if version("scikit-learn") >= Version("1.7"):
        pytest.skip("mmpretrain passes a setting that a later scikit-learn has not")
    arguments = ("--checkpoint", trained[0] / "epoch_3.pth", "--perplexity", "2", "--n-iter", "250")
    run_mim("mmpretrain", "vis_tsne", classifier, *arguments, "--work-dir", tmp_path)
    (features,) = tmp_path.rglob("*.npy")
    assert np.load(features).shape == (7, 136)
    assert features.with_suffix(".png").stat().st_size > 0


def test_boxes_of_flipped_images_are_joined(run_mim, box_detector, tmp_path):
    arguments = (*box_detector, "--tta", "--work-dir", tmp_path)
    assert "coco/bbox_mAP" in run_mim("mmdetection", "test", *arguments)


def test_places_of_a_class_are_shown(use, classifier, trained, class_folders, tmp_path):
    pytest.importorskip("pytorch_grad_cam", reason='it takes pip install "grad-cam<1.5"')
    image = next(class_folders.glob("val/*/*.png"))
    arguments = (image, classifier, trained[0] / "epoch_3.pth", "--target-layers")
    layer, shown = "backbone.layer4", tmp_path / "cam.png"
    use("mmpretrain", "visualization/vis_cam.py", *arguments, layer, "--save-path", shown)
    assert shown.stat().st_size > 0


@pytest.mark.parametrize("task", ["dataset", "dataloader"])
def test_loading_of_a_detector_is_timed(use, detector, tmp_path, task):
    arguments = (detector, "--task", task, "--max-iter", "2", "--num-warmup", "0")
    said = use("mmdet", "analysis_tools/benchmark.py", *arguments, "--work-dir", tmp_path)
    assert "Overall fps" in said


@pytest.mark.training
def test_a_fold_is_trained(use, classifier, tmp_path):
    arguments = ("--num-splits", "2", "--fold", "0", "--work-dir", tmp_path, "--cfg-options")
    use("mmpretrain", "kfold-cross-valid.py", classifier, *arguments, "train_cfg.max_epochs=1")
    assert list(tmp_path.rglob("epoch_1.pth"))
