"""Images for the check."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import gcp_mm.registry  # noqa: F401
from gcp_mm.errors import UserError
from gcp_mm.export.images import fit, prepare_image, random_images, size_of_test_images
from gcp_mm.export.properties import class_names


@pytest.fixture
def cfg(repo):
    return Config.fromfile(repo / "configs/imagenette/resnet18_gcp_landscape_imagenette.py")


def test_size_is_that_of_the_test_pipeline(cfg):
    assert size_of_test_images(cfg) == (64, 64)
    # mmcv's crop has the width first.
    cfg.test_dataloader.dataset.pipeline[2].crop_size = (40, 48)
    assert size_of_test_images(cfg) == (48, 40)
    cfg.test_dataloader.dataset = dict(type="RepeatDataset", dataset=cfg.test_dataloader.dataset)
    assert size_of_test_images(cfg) == (48, 40)


LAZY = """
from mmcv.transforms import LoadImageFromFile
from mmengine.config import read_base
from mmpretrain.datasets import CenterCrop, ImageNet, PackInputs
test_dataloader = dict(
    dataset=dict(
        type=ImageNet,
        pipeline=[
            dict(type=LoadImageFromFile),
            dict(type=CenterCrop, crop_size=32),
            dict(type=PackInputs),
        ],
    )
)
"""


def test_config_that_holds_classes(tmp_path):
    """As those that mmengine calls lazy, or of pure Python."""
    (tmp_path / "lazy.py").write_text(LAZY)
    cfg = Config.fromfile(tmp_path / "lazy.py")
    assert size_of_test_images(cfg) == (32, 32)
    torch.save({}, tmp_path / "a.pth")
    assert len(class_names(cfg, tmp_path / "a.pth", 1000)) == 1000


def test_pipeline_without_one_size_asks_for_it(cfg):
    del cfg.test_dataloader.dataset.pipeline[2]
    with pytest.raises(UserError, match="--input-size HEIGHT WIDTH"):
        size_of_test_images(cfg)


def test_config_without_pipeline(cfg):
    del cfg.test_dataloader.dataset["pipeline"]
    with pytest.raises(UserError, match="no test_dataloader.dataset.pipeline"):
        size_of_test_images(cfg)


def test_image_is_read_as_for_evaluation(cfg, small_network, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    cfg.test_dataloader.dataset.pipeline[1].scale = 64
    network = small_network("resnet50")
    rgb = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    assert torch.equal(prepare_image(cfg, path, network, normalise=False), rgb)
    mean, std = (torch.tensor(cfg.data_preprocessor[k]).view(1, 3, 1, 1) for k in ("mean", "std"))
    found = prepare_image(cfg, path, network, normalise=True)
    torch.testing.assert_close(found, (rgb - mean) / std)


@pytest.mark.parametrize("content", [None, b"no image"])
def test_unreadable_image_is_named(cfg, small_network, tmp_path, content):
    path = tmp_path / "a.png"
    if content:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"--image: '.*a\.png' cannot be read"):
        prepare_image(cfg, path, small_network("resnet50"), normalise=True)


def test_fit_keeps_images_of_the_right_size():
    image = torch.rand(1, 3, 6, 4)
    assert fit(image, (6, 4)) is image
    assert fit(torch.full((1, 3, 6, 4), 7.0), (3, 5)).allclose(torch.full((1, 3, 3, 5), 7.0))


@pytest.mark.parametrize("pixels", [False, True])
def test_random_images_are_the_same_in_every_run(pixels):
    first, second = (random_images(2, (5, 4), pixels) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (2, 3, 5, 4)
    assert bool((first == first.round()).all()) is pixels
