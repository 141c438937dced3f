"""AlexNet with torchvision's names, and as its own baseline."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from random_weights import randomise

from gcp_mm.errors import CheckpointMismatchError
from gcp_mm.robustness.evaluation.baselines import load_alexnet
from gcp_mm.robustness.evaluation.classifier import Classifier
from gcp_mm.robustness.names import BENCHMARK_CORRUPTIONS, SEVERITIES

torchvision = pytest.importorskip("torchvision")


@pytest.fixture(scope="module")
def original():
    network = torchvision.models.alexnet(weights=None)
    return randomise(network).eval()


@pytest.fixture(scope="module")
def weights(original, tmp_path_factory):
    path = tmp_path_factory.mktemp("alexnet") / "alexnet.pth"
    torch.save(original.state_dict(), path)
    return path


def test_logits_are_those_of_torchvision(original, weights):
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
    path = tmp_path / "resnet.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
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


def test_sample_is_no_baseline(call_tool, weights, tree, tmp_path):
    """AlexNet in place of a config; a part of ImageNet-C only with --num-samples."""
    command = ("tools/test_robustness.py", "baseline", "alexnet", weights, "--data-root", tree)
    command += ("--dataset", "imagenet-c", "--workers", 0, "--batch-size", 2)
    out = tmp_path / "baseline.json"
    code, _, errors = call_tool(*command, "--out", out)
    assert code == 2 and "998 of 1000 missing: n01484850" in errors
    assert "--num-samples N" in errors
    code, _, errors = call_tool(*command, "--out", out, "--num-samples", 2)
    assert code == 2 and "a baseline needs all files" in errors and not list(tmp_path.iterdir())
    command = (command[0], *command[2:], "--num-samples", 2, "--out", tmp_path / "result.json")
    code, _, errors = call_tool(*command)
    assert code == 0, errors
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["settings"]["num_classes"] == 1000 and len(content["cells"]) == 75
    # Complete, but of a sample: stated and marked.
    assert content["metrics"]["mCE"] > 0
    assert content["metrics"]["not_comparable"] == ["--num-samples 2"]


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
