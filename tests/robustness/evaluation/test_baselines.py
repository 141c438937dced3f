"""AlexNet with torchvision's names, and as its own baseline.

A network measured as a baseline is exactly 100 of itself.
"""

import json
import shutil
from importlib.resources import files

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from PIL import Image
from random_weights import randomise, without_start
from tiny_runs import only_error, write_config

import gcp_mm.registry  # noqa: F401  (its models)
from gcp_mm.errors import CheckpointMismatchError, UserError
from gcp_mm.robustness.evaluation.baselines import check_target, load_alexnet, write_baseline
from gcp_mm.robustness.evaluation.classifier import Classifier
from gcp_mm.robustness.names import BENCHMARK_CORRUPTIONS, SEVERITIES
from robustness.conftest import SIZE

torchvision = pytest.importorskip("torchvision")


@pytest.fixture(autouse=True)
def no_start():
    """Draw no random weights for sixty million numbers that are loaded."""
    with without_start():
        yield


def write_zeros(network, path):
    """Write a small file of weights: those of a tensor are one number in memory."""
    state = network.state_dict()
    torch.save({name: torch.zeros(()).expand(state[name].shape) for name in state}, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    with torch.device("meta"):
        network = torchvision.models.alexnet(weights=None)
    return write_zeros(network, tmp_path_factory.mktemp("alexnet") / "alexnet.pth")


@pytest.mark.slow
def test_logits_are_those_of_torchvision(tmp_path):
    original = randomise(torchvision.models.alexnet(weights=None)).eval()
    weights = tmp_path / "alexnet.pth"
    torch.save(original.state_dict(), weights)
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    found = Classifier(load_alexnet(weights), torch.device("cpu")).logits(torch.from_numpy(images))
    parts = torchvision.transforms.Compose(
        [
            torchvision.transforms.ToTensor(),
            torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    rgb = torch.stack([parts(Image.fromarray(image[:, :, ::-1])) for image in images])
    with torch.no_grad():
        expected = original(rgb)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_other_network_is_refused(tmp_path):
    with torch.device("meta"):
        network = torchvision.models.resnet18(weights=None)
    path = write_zeros(network, tmp_path / "resnet.pth")
    with pytest.raises(CheckpointMismatchError, match="is not torchvision's AlexNet"):
        load_alexnet(path)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return all cells of ImageNet-C with two images, of ImageNet's classes 0 and 1."""
    root, rng = tmp_path_factory.mktemp("imagenet_c"), np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8))
    for name in BENCHMARK_CORRUPTIONS:
        for severity in SEVERITIES:
            for wnid in ("n01440764", "n01443537"):
                folder = root / name / str(severity) / wnid
                folder.mkdir(parents=True)
                image.save(folder / "ILSVRC2012_val_00000001.JPEG", quality=50)
    return root


# AlexNet's forty million weights behind the convolutions take their time in each of 75 cells.
NARROW = """
_base_ = '{repo}/configs/imagenet/resnet18_gap_lrnorm.py'

model = dict(backbone=dict(base_channels=8, stem_channels=8), head=dict(in_channels=64))
"""


@pytest.fixture
def narrow(repo, tmp_path_factory):
    """Return a config of a narrow network for ImageNet, and its weights."""
    folder = tmp_path_factory.mktemp("narrow")
    path = write_config(folder / "narrow.py", NARROW, repo=repo)
    network = MODELS.build(dict(Config.fromfile(path).model))
    torch.save(randomise(network).state_dict(), folder / "narrow.pth")
    return path, folder / "narrow.pth"


@pytest.mark.slow
def test_sample_is_no_baseline(call_tool, weights, narrow, tree, tmp_path):
    """AlexNet in place of a config; a part of ImageNet-C only with --num-samples."""
    command = ("tools/test_robustness.py", "baseline", "alexnet", weights, "--data-root", tree)
    command += ("--dataset", "imagenet-c", "--workers", 0, "--batch-size", 2)
    out = tmp_path / "baseline.json"
    code, _, errors = call_tool(*command, "--out", out)
    assert code == 2 and "998 of 1000 missing: n01484850" in errors
    assert "--num-samples N" in errors
    code, _, errors = call_tool(*command, "--out", out, "--num-samples", 2)
    assert code == 2 and "a baseline needs all files" in errors and not list(tmp_path.iterdir())
    command = (command[0], *narrow, *command[4:], "--num-samples", 2)
    code, _, errors = call_tool(*command, "--out", tmp_path / "result.json")
    assert code == 0, errors
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["settings"]["num_classes"] == 1000 and len(content["cells"]) == 75
    # Complete, but of a sample: stated and marked.
    assert content["metrics"]["mCE"] > 0
    assert content["metrics"]["not_comparable"] == ["--num-samples 2"]


@pytest.mark.slow
def test_tree_of_some_classes_has_the_labels_of_imagenet(call_tool, weights, tree, tmp_path):
    shutil.copytree(tree / "fog/1", tmp_path / "tree/fog/1")
    content = {"format": "gcp_mm corruptions", "version": 1, "images_per_cell": 2, "settings": {}}
    content["classes"] = ["n01440764", "n01443537"]
    (tmp_path / "tree/manifest.json").write_text(json.dumps(content))
    code, _, errors = call_tool(
        *("tools/test_robustness.py", "alexnet", weights, "--data-root", tmp_path / "tree"),
        *("--dataset", "imagenet-c", "--corruptions", "fog", "--severities", 1, "--workers", 0),
        *("--batch-size", 2, "--out", tmp_path / "out.json"),
    )
    assert code == 0, errors
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["settings"]["num_classes"] == 1000 and content["settings"]["regenerated"]


MEANS = {"imagenet-c": ("mCE", "relative_mCE"), "imagenet-p": ("mFR", "mT5D")}


@pytest.mark.slow
@pytest.mark.parametrize("dataset", MEANS)
def test_network_is_100_of_itself(request, call_tool, config, checkpoint, tmp_path, dataset):
    tree = request.getfixturevalue(f"tree_{dataset[-1]}")
    options = ("--dataset", dataset, "--data-root", tree, "--input-size", SIZE, "--workers", 0)
    if dataset == "imagenet-c":
        # No error of 90 images is this number, so that every corruption raises the error.
        options += ("--clean-error", 0.01)
    baseline, tool = tmp_path / "baseline.json", "tools/test_robustness.py"
    measured = tmp_path / "baseline_result.json"
    code, output, errors = call_tool(
        tool, "baseline", config, checkpoint, *options, "--out", baseline, "--name", "mine"
    )
    assert code == 0, errors
    assert f"--baseline {baseline} --data-root {tree} --input-size {SIZE}\n" in output
    # The finished cells serve again, relative to another baseline.
    command = (tool, config, checkpoint, *options, "--out", measured, "--baseline", baseline)
    code, output, errors = call_tool(*command)
    assert code == 0, errors
    metrics = json.loads(measured.read_text())["metrics"]
    assert [metrics[mean] for mean in MEANS[dataset]] == [100.0, 100.0]
    assert all(f"{mean.replace('_', ' ')} 100.00" in output for mean in MEANS[dataset])
    data = json.loads(baseline.read_text())["data"]
    settings = json.loads(measured.read_text())["settings"]
    assert data["num_classes"] == 6 and data.items() <= settings.items()
    assert settings["baseline"] == "mine"
    # A finished result is written as a baseline without measuring.
    again = tmp_path / "again.json"
    assert call_tool(tool, "baseline", measured, "--out", again)[0] == 0
    one, other = (json.loads(path.read_text()) for path in (baseline, again))
    for content in (one, other):
        del content["source"], content["name"]
    assert one == other


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--corruptions", "blur"), "not measured: gaussian_noise"),
        (("--severities", 1, 2, 4, 5), "not measured: severity 3"),
        (("--num-samples", 6), "no --num-samples"),
        (("--shard", "0/2"), "no --shard"),
        (("--dataset", "imagenet-p", "--perturbations", "tilt"), "not measured: gaussian_noise"),
    ],
)
def test_part_is_refused_before_it_is_measured(
    call_tool, config, checkpoint, tree_c, tmp_path, options, named
):
    error = only_error(
        *call_tool(
            *("tools/test_robustness.py", "baseline", config, checkpoint),
            *("--dataset", "imagenet-c", "--data-root", tree_c, "--input-size", SIZE),
            *("--workers", 0, "--out", tmp_path / "baseline.json", *options),
        )
    )
    assert "a baseline needs all" in error and named in error
    assert not list(tmp_path.iterdir())


@pytest.fixture
def perfect():
    """Content of a result file, of a network that is always right in the fog."""
    right = {"correct": 9, "total": 18}
    cells = {f"{name}/{s}": right for name in BENCHMARK_CORRUPTIONS for s in SEVERITIES}
    cells.update({f"fog/{severity}": {"correct": 18, "total": 18} for severity in SEVERITIES})
    settings = {"shard": None, "num_samples": None}
    metrics = {"clean_error": None}
    content = {"dataset": "imagenet-c", "name": "net", "settings": settings}
    return {**content, "cells": cells, "metrics": metrics}


def test_numbers_that_cannot_divide_leave_the_file_as_it_is(perfect, tmp_path):
    path = tmp_path / "baseline.json"
    path.write_text("before")
    with pytest.raises(UserError, match=r"baseline\.json': error/fog is a list of 5, not"):
        write_baseline(perfect, path)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_result_of_a_part_is_no_baseline(perfect, tmp_path):
    del perfect["cells"]["snow/2"]
    with pytest.raises(UserError, match="not measured: snow$"):
        write_baseline(perfect, tmp_path / "baseline.json")
    perfect["settings"]["num_samples"] = 5
    with pytest.raises(UserError, match="no --num-samples"):
        write_baseline(perfect, tmp_path / "baseline.json")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "out", "named"),
    [
        (["result.json"], "result.json", "is the result file, whose counts would be lost"),
        (["result.json"], "other/../result.json", "is the result file"),
        (["result.json"], "link.json", "is the result file"),
        (["result.json"], "other.json", "exists and is no baseline"),
        (["result.json"], "other", "exists and is no baseline"),
        (["net.py", "x.pth", "--result", "{}/result.json"], "result.json", "is the result file"),
        (["net.py", "x.pth"], "result.json", "exists and is no baseline"),
    ],
)
def test_nothing_but_a_baseline_is_replaced(call_tool, tmp_path, command, out, named):
    (tmp_path / "other").mkdir()
    (tmp_path / "link.json").symlink_to("result.json")
    for name in ("result.json", "other.json"):
        (tmp_path / name).write_text('{"format": "gcp_mm robustness", "counts": "of days"}')
    first, *rest = command
    words = (tmp_path / first, *(word.format(tmp_path) for word in rest), "--out", tmp_path / out)
    assert named in only_error(*call_tool("tools/test_robustness.py", "baseline", *words))
    assert "of days" in (tmp_path / "result.json").read_text()


def test_a_baseline_may_be_written_again(tmp_path):
    path = tmp_path / "baseline.json"
    shutil.copy(files("gcp_mm.robustness.measures") / "baselines/alexnet_imagenet_c.json", path)
    check_target(path, tmp_path / "result.json")
    check_target(tmp_path / "absent.json", tmp_path / "result.json")
    path.write_text("notes")
    with pytest.raises(UserError, match="exists and is no baseline"):
        check_target(path)


def test_copy_of_the_published_numbers_is_refused_like_them(tool, part_c, tmp_path):
    copy = tmp_path / "copy.json"
    shipped = files("gcp_mm.robustness.measures") / "baselines" / "alexnet_imagenet_c.json"
    copy.write_text(shipped.read_text())
    found = []
    for baseline in ("alexnet", copy):
        code, _, errors = tool("imagenet-c", part_c, "--severities", 1, "--baseline", baseline)
        assert code == 0, errors
        found.append((tmp_path / "out.json").read_text())
    assert found[0] == found[1] and str(tmp_path) not in found[0]
    metrics = json.loads(found[0])["metrics"]
    assert metrics["mCE"] is None and "6 classes, not 1000" in metrics["mCE_reason"]


def test_path_of_a_baseline_does_not_matter_and_its_content_does(tool, part_c, tmp_path):
    shipped = files("gcp_mm.robustness.measures") / "baselines" / "alexnet_imagenet_c.json"
    content = json.loads(shipped.read_text())
    (tmp_path / "other").mkdir()
    settings = []
    for path, clean in (("mine.json", 0.4), ("other/mine.json", 0.4), ("mine.json", 0.5)):
        (tmp_path / path).write_text(json.dumps({**content, "clean_error": clean}))
        options = ("--severities", 1, "--baseline", tmp_path / path)
        code, _, errors = tool("imagenet-c", part_c, *options)
        assert code == 0, errors
        settings.append(json.loads((tmp_path / "out.json").read_text())["settings"])
    first, moved, changed = settings
    assert first == moved
    digests = {first.pop("baseline_sha256"), changed.pop("baseline_sha256")}
    assert len(digests) == 2 and first.items() >= changed.items()


def test_checkpoint_is_required(call_tool, config, tmp_path):
    command = ("tools/test_robustness.py", "baseline", config, "--out", tmp_path / "baseline.json")
    assert "needs CONFIG and CHECKPOINT" in only_error(*call_tool(*command))
