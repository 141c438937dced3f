"""Tools of mmpretrain and mmdet on configs of this project, as ``mim run`` starts them."""

import json
import re
from importlib import metadata

import mmengine.utils.progressbar  # noqa: F401  (its bars write to the output of this moment)
import numpy as np
import pytest
import torch
from coco_files import CLASSES
from mim_packages import has_forks, mim_package
from mmengine.config import Config
from packaging.version import Version
from PIL import Image
from random_weights import randomise
from shared_folder import REPO
from suite import made_once
from tiny_runs import DETECTOR, write_config

from gcp_mm.zoo.rows import zoo_root

CONFIGS = zoo_root() / "configs"
PAGE = REPO / "docs/openmmlab_tools.md"
# Run in this process, by the commands that mim makes of their names.
TOOLS = {
    "mmpretrain": (
        *("analyze_logs", "analyze_results", "browse_dataset", "confusion_matrix", "eval_metric"),
        *("get_flops", "kfold-cross-valid", "print_config", "publish_model", "test"),
        *("verify_dataset", "vis_scheduler"),
    ),
    "mmdetection": (
        *("analyze_logs", "analyze_results", "benchmark", "browse_dataset", "confusion_matrix"),
        *("eval_metric", "get_flops", "print_config", "test"),
    ),
}
THROUGH_MIM = {"test", "vis_cam", "vis_tsne"}
ELSEWHERE = {"train"}  # tests/wheels/test_bare_environment.py
BY_HAND = {"coco_error_analysis"}  # which starts 48 processes
# What mim would start, in place of starting it.
FIND = """
import importlib, json, subprocess, sys
command = importlib.import_module("mim.commands.run").cli
found = []
subprocess.check_call = lambda words, env: found.append(words) or 0
for package, tool in json.loads(sys.argv[1]):
    command([package, tool, "first", "--second=2"], standalone_mode=False)
json.dump(found, open(sys.argv[2], "w"))
"""


def version(package):
    return Version(metadata.version(package))


@pytest.fixture(scope="session")
def scripts(run_warm, tmp_path_factory):
    """Return what ``mim run`` starts for each tool."""

    def find():
        tools = [(project, tool) for project, names in TOOLS.items() for tool in names]
        names = json.dumps([(mim_package(project), tool) for project, tool in tools])
        path = tmp_path_factory.mktemp("mim") / "found.json"
        process = run_warm("-c", FIND, names, path)
        assert process.returncode == 0, process.stderr
        commands = json.loads(path.read_text())
        assert all(words[2:] == ["first", "--second=2"] for words in commands)
        return {tool: words[1] for tool, words in zip(tools, commands, strict=True)}

    return made_once(tmp_path_factory, "scripts", find)


@pytest.fixture
def use(call_tool, scripts):
    """Run a tool in this process; return what it says."""

    def run(project, tool, *arguments):
        code, output, errors = call_tool(scripts[project, tool], *arguments)
        assert code == 0, errors
        return output + errors

    return run


@pytest.fixture
def run_mim(run_warm):
    """Run a tool as a user does; return what it says."""

    def run(project, tool, *arguments, **env):
        process = run_warm("-m", "mim", "run", mim_package(project), tool, *arguments, **env)
        assert process.returncode == 0, process.stderr
        return process.stdout + process.stderr

    return run


def test_every_tool_of_the_page_is_run():
    rows = re.findall(r"^\| (`.+?`) \|", PAGE.read_text(), re.M)
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert named == {*sum(TOOLS.values(), ()), *THROUGH_MIM, *ELSEWHERE, *BY_HAND}


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
            "val_evaluator.metric": "bbox",
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
        ("mmdetection", "mask_rcnn_r50_gcpm.py"),
        ("mmdetection", "faster_rcnn_r101_gcpd.py"),
    ],
)
def test_print_config(use, package, config):
    printed = use(package, "print_config", CONFIGS / config)
    assert "gcp_mm.WorkFolderHook" in printed


@pytest.mark.parametrize("mode", ["original", "pipeline"])
def test_browse_classification(use, classifier, tmp_path, mode):
    if mode != "original" and version("matplotlib") >= Version("3.10"):
        pytest.skip("mmpretrain calls a function of an older matplotlib")
    options = ("-o", tmp_path, "-m", mode, "-n", "3", "--show-interval", "0.01")
    use("mmpretrain", "browse_dataset", classifier, *options)
    assert len(list(tmp_path.rglob("*.png"))) == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* out of bounds")
def test_browse_detection(use, detector, tmp_path):
    use("mmdetection", "browse_dataset", detector, "--output-dir", tmp_path, "--not-show")
    assert len(list(tmp_path.rglob("*.*"))) == 4


@pytest.mark.training
def test_flops_and_schedule_of_a_classifier(use, classifier, tmp_path):
    said = use("mmpretrain", "get_flops", classifier, "--shape", "32")
    assert "Flops" in said
    figure = tmp_path / "schedule.png"
    arguments = (classifier, "--dataset-size", "64", "--save-path", figure)
    use("mmpretrain", "vis_scheduler", *arguments)
    assert figure.stat().st_size > 0


def test_images_of_class_folders_are_verified(use, classifier, tmp_path):
    arguments = ("--out-path", tmp_path / "broken.log", "--num-process", "1", "--phase", "train")
    said = use("mmpretrain", "verify_dataset", classifier, *arguments)
    assert "There is no broken file found." in said


def test_confusion_matrix_of_a_checkpoint(use, classifier, trained, tmp_path):
    arguments = (classifier, trained[0] / "epoch_3.pth", "--show-path", tmp_path / "matrix.png")
    use("mmpretrain", "confusion_matrix", *arguments)
    assert (tmp_path / "matrix.png").stat().st_size > 0


def test_weights_alone_can_be_published(use, call_tool, trained, tmp_path):
    """mmpretrain's tool cannot read a training checkpoint under today's torch."""
    plain = tmp_path / "plain.pth"
    source = trained[0] / "epoch_3.pth"
    code, _, errors = call_tool("tools/convert_checkpoint.py", source, plain, "--weights-only")
    assert code == 0, errors
    use("mmpretrain", "publish_model", plain, tmp_path / "out.pth")
    (published,) = tmp_path.glob("out_*.pth")
    assert published.stat().st_size > 0


def test_flops_of_a_detector(use, detector):
    said = use("mmdetection", "get_flops", detector, "--num-images", "1")
    assert "Flops" in said


@pytest.mark.parametrize("project", TOOLS)
def test_curves_of_a_training(use, trained, tmp_path, project):
    (scalars,) = trained[0].glob("*/vis_data/scalars.json")
    figure = tmp_path / "loss.png"
    # The fork's default is a style of seaborn, and it asks matplotlib for it.
    style = ("--style", "ggplot") if project == "mmdetection" and has_forks() else ()
    use(project, "analyze_logs", "plot_curve", scalars, "--keys", "loss", "--out", figure, *style)
    assert figure.stat().st_size > 0


def test_results_of_a_classifier_are_analysed(use, classifier, trained, tmp_path):
    results, shown = tmp_path / "results.pkl", tmp_path / "shown"
    arguments = (classifier, trained[0] / "epoch_3.pth", "--out", results, "--work-dir", tmp_path)
    tested = use("mmpretrain", "test", *arguments)
    said = use("mmpretrain", "eval_metric", results, "--metric", "type=Accuracy")
    (accuracy,) = set(re.findall(r"accuracy/top1\W+([\d.]+)", said))
    assert f"accuracy/top1: {float(accuracy):.4f}" in tested
    use("mmpretrain", "analyze_results", classifier, results, "--out-dir", shown, "--topk", "2")
    images = [path.parent.name for path in shown.rglob("*.png")]
    assert len(images) == 4 and set(images) <= {"success", "fail"}


@pytest.mark.filterwarnings("ignore:.* out of bounds")
def test_results_of_a_detector_are_analysed(use, box_detector, tmp_path):
    config, checkpoint = box_detector
    results, shown = tmp_path / "results.pkl", tmp_path / "shown"
    arguments = (config, checkpoint, "--out", results, "--work-dir", tmp_path)
    use("mmdetection", "test", *arguments)
    assert "coco/bbox_mAP" in use("mmdetection", "eval_metric", config, results)
    use("mmdetection", "confusion_matrix", config, results, shown)
    assert (shown / "confusion_matrix.png").stat().st_size > 0
    use("mmdetection", "analyze_results", config, results, shown, "--topk", "1")
    assert len(list(shown.rglob("*.jpg"))) == 2


def test_flipped_images_are_averaged(use, classifier, trained, tmp_path):
    arguments = (classifier, trained[0] / "epoch_3.pth", "--tta", "--work-dir", tmp_path)
    assert "accuracy/top1" in use("mmpretrain", "test", *arguments)


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


def test_places_of_a_class_are_shown(peers, run_mim, classifier, trained, class_folders, tmp_path):
    apart = tmp_path / "apart"  # the others of the peers do not go with mmpretrain
    apart.mkdir()
    for package in ("pytorch_grad_cam", "ttach"):
        (apart / package).symlink_to(peers / package)
    image = next(class_folders.glob("val/*/*.png"))
    arguments = (image, classifier, trained[0] / "epoch_3.pth", "--target-layers")
    layer, shown = "backbone.layer4", tmp_path / "cam.png"
    options = (layer, "--save-path", shown)
    run_mim("mmpretrain", "vis_cam", *arguments, *options, PYTHONPATH=f"{apart}:{REPO}")
    with Image.open(shown) as drawn:
        pixels = np.asarray(drawn, dtype=int)
    # Colours over an image without any.
    assert np.ptp(pixels, axis=2).max() > 50


@pytest.mark.parametrize("task", ["dataset", "dataloader"])
def test_loading_of_a_detector_is_timed(use, detector, tmp_path, task):
    arguments = (detector, "--task", task, "--max-iter", "2", "--num-warmup", "0")
    said = use("mmdetection", "benchmark", *arguments, "--work-dir", tmp_path)
    assert "Overall fps" in said


@pytest.mark.training
def test_a_fold_is_trained(use, classifier, tmp_path):
    arguments = ("--num-splits", "2", "--fold", "0", "--work-dir", tmp_path, "--cfg-options")
    use("mmpretrain", "kfold-cross-valid", classifier, *arguments, "train_cfg.max_epochs=1")
    assert list(tmp_path.rglob("epoch_1.pth"))
