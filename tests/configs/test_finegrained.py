"""The fine-grained recipes: what they say, and one short run on a tree of each layout."""

from functools import partial

import numpy as np
import pytest
import torch
from fine_grained_trees import fine_grained
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from PIL import Image
from tiny_runs import forget_runs, read_log, read_scalars, write_config

from gcp_mm.engine.config import load_config
from gcp_mm.engine.runner import train
from gcp_mm.zoo.rows import FINE_GRAINED, load_rows, zoo_root

__all__ = ["fine_grained"]

CLASSES = {"cub": 200, "aircraft": 100, "cars": 196}
LENGTHS = {"gcp": 256 * 257 // 2, "bcnn": 256**2, "cbp": 8192}
# Learning rate, factor of the classifier, weight decay.
RATES = {"gcp": (1.2e-3, 5, 1e-3), "bcnn": (1e-3, 1000, 5e-4), "cbp": (1e-3, 1000, 5e-4)}
LEAVES = sorted(path.stem for path in (zoo_root() / "configs/finegrained").glob("*.py"))


def test_gcp_has_rows_and_the_other_heads_are_there_for_resnet50():
    rows = [row for row in load_rows() if row.task == FINE_GRAINED]
    assert all(row.config == f"configs/finegrained/{row.name}.py" for row in rows)
    others = {f"resnet50_{head}_{data}" for head in ("bcnn", "cbp") for data in CLASSES}
    assert {row.name for row in rows} | others == set(LEAVES)
    assert len(LEAVES) == 12


@pytest.mark.parametrize("name", LEAVES)
def test_settings_are_the_published_ones(repo, name):
    cfg = Config.fromfile(repo / f"configs/finegrained/{name}.py")
    network, head, data = name.split("_")
    rate, factor, decay = RATES[head]
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.momentum) == ("SGD", rate, 0.9)
    assert optimizer.weight_decay == decay
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys == {"head": {"lr_mult": factor}}
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 10
    assert cfg.model.backbone.depth == int(network.removeprefix("resnet"))
    assert cfg.model.head.in_channels == LENGTHS[head]
    assert cfg.model.head.num_classes == CLASSES[data]
    assert cfg.load_from == f"checkpoints/{network}_gcp_lrnorm.pth"
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        steps = loader.dataset.pipeline
        if data == "cars":  # the whole image, without a crop
            assert [step.scale for step in steps if "scale" in step] == [(448, 448)]
            assert not any("crop_size" in step for step in steps)
        else:
            assert [step.crop_size for step in steps if "crop_size" in step] == [448]
    assert cfg.train_dataloader.dataset.split == ("trainval" if data == "aircraft" else "train")
    # What only builds the rest is no setting.
    assert not {"loader", "dataset"} & cfg.keys()


# Those with a row are built where their parameters are counted.
@pytest.mark.parametrize("name", [name for name in LEAVES if "_gcp_" not in name])
def test_network_is_built_and_its_parts_fit(repo, monkeypatch, name):
    cfg = Config.fromfile(repo / f"configs/finegrained/{name}.py")
    _, head, data = name.split("_")
    # mmpretrain's ResNet reads numbers out of a linspace, which the meta device cannot give.
    monkeypatch.setattr(torch, "linspace", partial(torch.linspace, device="cpu"))
    init_default_scope("mmpretrain")
    with torch.device("meta"):
        model = MODELS.build(cfg.model).eval()
        scores = model(torch.zeros(1, 3, 448, 448), mode="tensor")
    assert scores.shape == (1, CLASSES[data])
    assert model.neck.out_channels == model.head.fc.in_features == LENGTHS[head]


TINY = """
_base_ = '{repo}/configs/finegrained/resnet50_{head}_{data}.py'

model = dict(
    backbone=dict(depth=18, base_channels=8, stem_channels=8),
    neck=dict(in_channels=64, reduced_channels=4, {part}),
    head=dict(in_channels={length}))
loader = dict(batch_size=2, num_workers=0, persistent_workers=False, pin_memory=False)
train_dataloader = dict(dataset=dict(data_root='{root}'), **loader)
val_dataloader = dict(dataset=dict(data_root='{root}'), **loader)
test_dataloader = val_dataloader
auto_scale_lr = dict(base_batch_size=2)
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=0)
load_from = '{weights}'
"""
# A head for each data set, with its length for four channels.
RUNS = {
    "cub": ("gcp", "", 10),
    "aircraft": ("bcnn", "", 16),
    "cars": ("cbp", "vectorization=dict(type='count_sketch', dim=16)", 16),
}


@pytest.fixture
def recipe(repo, fine_grained, tmp_path):
    """Write a small recipe on a small tree, and the file that its backbone and neck start from."""

    def write(data):
        head, part, length = RUNS[data]
        weights, root = tmp_path / "pretrained.pth", fine_grained(data)
        config = write_config(
            *(tmp_path / "tiny.py", TINY),
            **dict(repo=repo, head=head, data=data, part=part, length=length),
            **dict(root=root, weights=weights),
        )
        model = Config.fromfile(config).model
        model.neck = dict(type="gcp_mm.GlobalCovariancePooling", in_channels=64, reduced_channels=4)
        init_default_scope("mmpretrain")
        state = MODELS.build(model).state_dict()
        torch.save({"state_dict": state}, weights)
        return config, state

    yield write
    forget_runs()


@pytest.mark.parametrize("data", RUNS)
def test_recipe_runs_on_a_tree_of_its_layout(recipe, tmp_path, data):
    config, state = recipe(data)
    rate, factor, _ = RATES[RUNS[data][0]]
    work_dir = tmp_path / "work"
    runner = train(load_config(str(config), work_dir=str(work_dir)))
    assert len(runner.train_dataloader.dataset) == 6 and len(runner.val_dataloader.dataset) == 3
    counted = sum(
        name.startswith("backbone.") and not name.endswith("num_batches_tracked") for name in state
    )
    assert f"loaded {counted} of {counted} tensors of the backbone from" in read_log(work_dir)
    steps, epochs = read_scalars(work_dir)
    assert sorted(steps) == [1, 2, 3] and len(epochs) == 1
    assert all(step["lr"] == pytest.approx(rate) for step in steps.values())
    assert all(np.isfinite(step["loss"]) for step in steps.values())
    groups = runner.optim_wrapper.optimizer.param_groups
    parameters = dict(runner.model.named_parameters())
    rates = {id(group["params"][0]): group["lr"] for group in groups}
    for name, parameter in parameters.items():
        expected = rate * (factor if name.startswith("head.") else 1)
        assert rates[id(parameter)] == pytest.approx(expected), name
    assert all(parameter.isfinite().all() for parameter in parameters.values())
    # The reduction came with the backbone, and learned.
    moved = parameters["neck.reduce.conv.weight"].detach() - state["neck.reduce.conv.weight"]
    assert 0 < moved.abs().max() < 0.5


def test_images_are_448_pixels(fine_grained, repo):
    from mmengine.registry import DATASETS

    init_default_scope("mmpretrain")
    for data in CLASSES:
        cfg = Config.fromfile(repo / f"configs/finegrained/resnet50_gcp_{data}.py")
        for loader in (cfg.train_dataloader, cfg.test_dataloader):
            dataset = DATASETS.build({**loader.dataset, "data_root": str(fine_grained(data))})
            assert dataset[0]["inputs"].shape == (3, 448, 448)
            assert len(dataset.metainfo["classes"]) == CLASSES[data]


# What torchvision makes of an image in the original's code, in training and in evaluation.
SIZES = {"cub": 448, "aircraft": (512, 512), "cars": (448, 448)}


@pytest.mark.parametrize("loader", ["train_dataloader", "test_dataloader"])
@pytest.mark.parametrize("data", SIZES)
def test_pixels_are_those_of_torchvision(fine_grained, repo, data, loader):
    """The centre of the shorter side for CUB; the whole image in a square for the others."""
    transforms = pytest.importorskip("torchvision.transforms")
    from mmengine.registry import DATASETS

    init_default_scope("mmpretrain")
    cfg = Config.fromfile(repo / f"configs/finegrained/resnet50_gcp_{data}.py")
    settings = {**cfg[loader].dataset, "data_root": str(fine_grained(data))}
    for step in settings["pipeline"]:
        if step.type == "RandomFlip":
            step.prob = 1.0
    dataset = DATASETS.build(settings)
    with Image.open(dataset.get_data_info(0)["img_path"]) as picture:
        cut = transforms.Compose([transforms.Resize(SIZES[data]), transforms.CenterCrop(448)])
        expected = np.asarray(cut(picture.convert("RGB")))
        # A square image would have the same pixels in every way.
        assert picture.width != picture.height
    if loader == "train_dataloader":
        expected = expected[:, ::-1]
    found = dataset[0]["inputs"].permute(1, 2, 0).numpy()[..., ::-1].astype(int)
    assert np.abs(found - expected).max() <= 1
