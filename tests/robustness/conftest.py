"""A small classifier and small trees in the layouts of ImageNet-C and ImageNet-P."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from random_weights import randomise
from suite import made_once
from tiny_runs import write_config

from gcp_mm.robustness.names import BENCHMARK_CORRUPTIONS, PERTURBATIONS, SEVERITIES

SIZE = 32
CLASSES = [f"class_{index}" for index in range(6)]
CONFIG = """
_base_ = '{repo}/configs/imagenet/resnet18_gap_lrnorm.py'

model = dict(
    backbone=dict(
        base_channels=8, stem_channels=8,
        num_stages=1, strides=[1], dilations=[1], out_indices=[0]),
    head=dict(num_classes=6, in_channels=8, topk=(1,)))
data_preprocessor = dict(num_classes=6)
pipeline = [dict(type='LoadImageFromFile', imdecode_backend='pillow'), dict(type='PackInputs')]
test_dataloader = dict(dataset=dict(
    _delete_=True, type='gcp_mm.ClassFolder', data_root='{data}', pipeline=pipeline))
"""


def picture(rng: np.random.Generator) -> np.ndarray:
    """Draw a smooth picture of some colour."""
    corners = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return cv2.resize(corners, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def write_clip(path: Path, frames: list[np.ndarray]) -> None:
    """Write an mp4 file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 1, (width, height))
    for frame in frames:
        video.write(frame)
    video.release()


@pytest.fixture(scope="session")
def clean(tmp_path_factory) -> Path:
    """Three pictures of each of six classes."""

    def write():
        root, rng = tmp_path_factory.mktemp("clean"), np.random.default_rng(0)
        for name in CLASSES:
            (root / name).mkdir()
            for index in range(3):
                Image.fromarray(picture(rng)).save(root / name / f"{index}.png")
        return root

    return made_once(tmp_path_factory, "clean", write)


@pytest.fixture(scope="session")
def config(clean, repo, tmp_path_factory) -> Path:
    """Return the config of a small classifier of the six classes."""
    path = tmp_path_factory.mktemp("config") / "small.py"
    return write_config(path, CONFIG, repo=repo, data=clean)


@pytest.fixture(scope="session")
def network(config) -> torch.nn.Module:
    """Return the classifier, of one stage, with random weights that tell the pictures apart."""
    from mmpretrain.registry import MODELS

    cfg = Config.fromfile(config)
    built = randomise(MODELS.build({"data_preprocessor": cfg.data_preprocessor, **cfg.model}))
    rng = np.random.default_rng(3)
    pictures = torch.from_numpy(np.stack([picture(rng) for _ in range(64)]).transpose(0, 3, 1, 2))
    inputs = built.data_preprocessor({"inputs": pictures}, training=False)["inputs"]
    for module in built.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # it knows these pictures alone
    with torch.no_grad():
        built.train().extract_feat(inputs)
        (vectors,) = built.eval().extract_feat(inputs)
        # Scores are centred on them, or nearly all pictures would be of one class.
        layer = built.head.fc
        layer.bias.copy_(-(vectors @ layer.weight.T).mean(dim=0))
    return built


@pytest.fixture(scope="session")
def checkpoint(network, tmp_path_factory) -> Path:
    """Return its weights."""
    path = tmp_path_factory.mktemp("checkpoint") / "small.pth"
    torch.save({"state_dict": network.state_dict()}, path)
    return path


@pytest.fixture(scope="session")
def tree_c(clean, tmp_path_factory) -> Path:
    """Return 15 corruptions, 5 severities, 18 images; the corruption is another picture."""

    def write():
        root, rng = tmp_path_factory.mktemp("c"), np.random.default_rng(1)
        for name in BENCHMARK_CORRUPTIONS:
            for severity in SEVERITIES:
                for source in sorted(clean.glob("*/*.png")):
                    path = root / name / str(severity) / source.parent.name / f"{source.stem}.JPEG"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(picture(rng)).save(path, quality=85)
        return root

    return made_once(tmp_path_factory, "tree_c", write)


@pytest.fixture(scope="session")
def tree_p(tmp_path_factory) -> Path:
    """Return 10 perturbations with a clip of 4 to 6 frames for each class."""

    def write():
        root, rng = tmp_path_factory.mktemp("p"), np.random.default_rng(2)
        for name in PERTURBATIONS:
            for index, label in enumerate(CLASSES):
                frames = [picture(rng) for _ in range(4 + index % 3)]
                write_clip(root / name / label / "0.mp4", frames)
        return root

    return made_once(tmp_path_factory, "tree_p", write)


@pytest.fixture
def part_c(tree_c, tmp_path) -> Path:
    """Return a copy of two corruptions that a test may damage."""
    for name in ("fog", "snow"):
        shutil.copytree(tree_c / name, tmp_path / "part_c" / name)
    return tmp_path / "part_c"


@pytest.fixture
def part_p(tree_p, tmp_path) -> Path:
    """Return a copy of two perturbations that a test may damage."""
    for name in ("shot_noise", "tilt"):
        shutil.copytree(tree_p / name, tmp_path / "part_p" / name)
    return tmp_path / "part_p"


@pytest.fixture
def tool(call_tool, config, checkpoint, tmp_path):
    """Run the tool on a part of a tree; later options win."""

    def run(dataset, root, *options, config=config, checkpoint=checkpoint):
        names = ("fog", "snow") if dataset == "imagenet-c" else ("shot_noise", "tilt")
        return call_tool(
            *(
                "tools/test_robustness.py",
                config,
                checkpoint,
                "--dataset",
                dataset,
                "--data-root",
                root,
            ),
            *("--corruptions", *names, "--input-size", SIZE, "--workers", 0, "--batch-size", 8),
            *("--out", tmp_path / "out.json", *options),
        )

    return run
