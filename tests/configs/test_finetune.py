"""The fine-tune configs: whole backbone from a file, new layers at ten times its learning rate."""

import math
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from tiny_runs import forget_runs, only_error, read_log, read_scalars, write_config

from gcp_mm.checkpoints.coverage import compare
from gcp_mm.conversion import Architecture, model_config
from gcp_mm.engine.config import load_config
from gcp_mm.engine.hooks import PretrainedRequiredHook
from gcp_mm.engine.runner import train
from gcp_mm.errors import CheckpointMismatchError, UserError

TINY = """
_base_ = '{repo}/configs/finetune/{name}_gcp_folder.py'

model = dict(
    backbone={backbone},
    neck=dict(in_channels={channels}, reduced_channels=8),
    head=dict(num_classes=3, in_channels=36))
pipeline = [dict(type='LoadImageFromFile', imdecode_backend='pillow'), dict(type='PackInputs')]
loader = dict(batch_size=4, num_workers=0, persistent_workers=False, pin_memory=False)
train_dataloader = dict(dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
val_dataloader = dict(dataset=dict(data_root='{data}', pipeline=pipeline), **loader)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=2)
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=0)
load_from = '{weights}'
"""
NARROW = "embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32"
TRUNKS = {
    "resnet50": ("dict(depth=18, base_channels=8, stem_channels=8, norm_eval=True)", 64),
    "convnext_tiny": (
        "dict(arch=dict(_delete_=True, depths=[1, 1, 1, 1], channels=[8, 8, 16, 16]))",
        16,
    ),
    "swin_tiny": (
        "dict(arch=dict(_delete_=True, embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]),"
        " img_size=32, patch_size=1, window_size=4)",
        64,
    ),
    "vit_base": (f"dict(arch=dict(_delete_=True, {NARROW}), img_size=32, patch_size=8)", 16),
    # The name of the config, and which of timm's networks.
    "timm residual": ("dict(model_name='test_resnet')", 96),
    "timm transformer": (
        "dict(model_name='test_vit', img_size=32, patch_size=8, embed_dim=16, "
        "num_heads=2, depth=2)",
        16,
    ),
}
SOURCES = {"convnext_tiny": "convnext_tiny", "swin_tiny": "swin_t", "vit_base": "vit_b_16"}
SGD = ("resnet50", "timm residual", "timm transformer")
BASE_LR = {name: 0.002 if name in SGD else 5e-5 for name in TRUNKS}


@pytest.fixture
def tiny(repo, class_folders, tmp_path):
    """Write a small fine-tune config and its pretrained file: a backbone and another head."""

    def write(name):
        if name.startswith("timm"):
            pytest.importorskip("timm")
        backbone, channels = TRUNKS[name]
        weights = tmp_path / "pretrained.pth"
        config = write_config(
            *(tmp_path / f"tiny_{name}.py", TINY),
            **dict(repo=repo, name=name.partition(" ")[0], backbone=backbone, channels=channels),
            **dict(data=class_folders, weights=weights),
        )
        init_default_scope("mmpretrain")
        torch.manual_seed(1)
        trunk = MODELS.build(Config.fromfile(config).model.backbone)
        state = {f"backbone.{name}": t.clone() for name, t in trunk.state_dict().items()}
        floating = {name: t for name, t in state.items() if t.is_floating_point()}
        state.update({name: t + 0.01 * torch.rand_like(t) for name, t in floating.items()})
        state["head.fc.weight"] = torch.randn(5, 36)
        torch.save({"state_dict": state, "meta": {}}, weights)
        return config, weights, state

    yield write
    forget_runs()


@pytest.mark.parametrize("name", TRUNKS)
def test_backbone_is_the_file_and_the_new_layers_learn_faster(tiny, monkeypatch, tmp_path, name):
    config, _, state = tiny(name)
    start = {}

    def keep(hook, runner):
        start.update({key: value.clone() for key, value in runner.model.state_dict().items()})

    monkeypatch.setattr(PretrainedRequiredHook, "before_train", keep)
    work_dir = tmp_path / "work"
    runner = train(load_config(str(config), work_dir=str(work_dir)))

    backbone = [key for key in start if key.startswith("backbone.")]
    assert len(backbone) == len(state) - 1
    assert all(torch.equal(start[key], state[key]) for key in backbone)
    counted = sum(not key.endswith("num_batches_tracked") for key in backbone)
    log = read_log(work_dir)
    assert f"loaded {counted} of {counted} tensors of the backbone from" in log
    assert "left at their initial values: not in the file: neck.reduce.conv.weight" in log
    assert "head.fc.weight ((3, 36), (5, 36))" in log

    names = {id(parameter): key for key, parameter in runner.model.named_parameters()}
    groups = {names[id(g["params"][0])]: g for g in runner.optim_wrapper.optimizer.param_groups}
    assert len(groups) == len(names)
    for key, group in groups.items():
        factor = 1 if key.startswith("backbone.") else 10
        assert group["initial_lr"] == pytest.approx(factor * BASE_LR[name]), key
        if name not in SGD:
            decays = key.startswith(("neck.", "head.")) or (
                group["params"][0].dim() > 1
                and not key.endswith(("cls_token", "pos_embed", "position_bias_table"))
            )
            assert group["weight_decay"] == (0.05 if decays else 0), key
    steps, _ = read_scalars(work_dir)
    for step in range(8):
        warm_up = min(0.01 + 0.99 * step / 3, 1)
        factor = warm_up * (1 + math.cos(math.pi * step / 8)) / 2
        assert steps[step + 1]["lr"] == pytest.approx(factor * BASE_LR[name], rel=1e-9)
    end = runner.model.state_dict()
    changed = [key for key, _ in runner.model.named_parameters() if not end[key].equal(start[key])]
    assert {"neck.reduce.conv.weight", "head.fc.weight"} < set(changed)
    assert sum(key.startswith("backbone.") for key in changed) > 5
    assert all(value.isfinite().all() for value in end.values())


@pytest.mark.parametrize("name", SOURCES)
def test_converted_weights_of_torchvision_are_the_whole_backbone(repo, monkeypatch, name):
    cfg = Config.fromfile(repo / f"configs/finetune/{name}_gcp_folder.py")
    assert Path(cfg.load_from).stem == SOURCES[name]
    # mmpretrain's Swin reads numbers out of a linspace, which the meta device cannot give.
    monkeypatch.setattr(torch, "linspace", partial(torch.linspace, device="cpu"))
    init_default_scope("mmpretrain")
    with torch.device("meta"):
        backbone = MODELS.build(cfg.model.backbone).state_dict()
        converted = MODELS.build(model_config(Architecture(SOURCES[name], 1000))).backbone
    assert backbone.keys() == converted.state_dict().keys()
    assert compare(backbone, converted.state_dict()).complete


def test_a_file_of_timm_takes_the_place_of_load_from(tiny, monkeypatch, tmp_path):
    config, _, _ = tiny("timm residual")
    import timm

    weights, start = tmp_path / "timm.pth", {}
    torch.manual_seed(2)
    source = timm.create_model("test_resnet").state_dict()
    torch.save(source, weights)

    def keep(hook, runner):
        start.update(runner.model.backbone.timm_model.state_dict())
        start.update({name: tensor.clone() for name, tensor in start.items()})

    monkeypatch.setattr(PretrainedRequiredHook, "before_train", keep)
    options = {
        "load_from": None,
        "model.backbone.init_cfg.type": "Pretrained",
        "model.backbone.init_cfg.checkpoint": str(weights),
        "train_cfg.max_epochs": 1,
    }
    work_dir = tmp_path / "work"
    train(load_config(str(config), options, work_dir=str(work_dir)))
    assert start.keys() == source.keys() - {"fc.weight", "fc.bias"}
    assert all(torch.equal(tensor, source[name]) for name, tensor in start.items())
    assert "loaded 75 of 75 tensors" in read_log(work_dir)


def test_converted_efficientnet_lite_is_the_whole_network_of_its_configs(repo):
    pytest.importorskip("timm")
    init_default_scope("mmpretrain")
    names = ["finetune/timm_gcp_folder", "timm/efficientnet_lite0"]
    names += [
        f"imagenette/efficientnet_lite0_{pool}_finetune_imagenette" for pool in ("gap", "gcp")
    ]
    with torch.device("meta"):
        whole = MODELS.build(model_config(Architecture("efficientnet_lite0", 1000)))
        for name in names:
            cfg = Config.fromfile(repo / f"configs/{name}.py")
            assert Path(cfg.load_from).name == "efficientnet_lite0.pth"
            model = MODELS.build(cfg.model)
            assert not compare(model.backbone.state_dict(), whole.backbone.state_dict()).differences
            if name.startswith("timm/"):
                # But for how a classifier without weights would start.
                layers = [re.sub(r"\n *init_cfg=.*", "", repr(one)) for one in (model, whole)]
                assert layers[0] == layers[1]


REFUSED = {
    "no weights": (["load_from=None"], ("load_from is empty", "tools/convert_checkpoint.py SRC")),
    "nothing to resume": (["load_from=None", "resume=True"], ("no run to continue",)),
    "no such file": (
        ["load_from=checkpoints/absent.pth"],
        (
            "absent.pth' of pretrained weights does not exist (load_from",
            "convert_checkpoint.py SRC checkpoints/absent.pth",
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_start_without_weights_is_refused_before_anything_is_written(
    tiny, call_tool, tmp_path, case
):
    options, parts = REFUSED[case]
    config, _, _ = tiny("vit_base")
    work_dir = tmp_path / "work"
    arguments = (config, "--work-dir", work_dir, "--cfg-options", *options)
    error = only_error(*call_tool("tools/train.py", *arguments))
    assert [part for part in parts if part not in error] == []
    assert not work_dir.exists()


@pytest.mark.parametrize("resume", [False, True])
def test_start_without_weights_is_refused_under_other_launchers(tiny, tmp_path, resume):
    config, _, _ = tiny("resnet50")
    cfg = load_config(str(config), {"load_from": None}, work_dir=str(tmp_path / "work"))
    cfg.resume = resume
    with pytest.raises(UserError, match="load_from is empty"):
        Runner.from_cfg(cfg).train()


def test_interrupted_run_goes_on_without_its_source(tiny, call_tool, tmp_path):
    config, weights, _ = tiny("resnet50")
    common = ("tools/train.py", config, "--work-dir", tmp_path / "work", "--cfg-options")
    assert call_tool(*common, "train_cfg.max_epochs=1")[0] == 0
    weights.unlink()
    code, _, errors = call_tool(*common, "load_from=None", "resume=True")
    assert code == 0, errors
    assert (tmp_path / "work" / "epoch_2.pth").is_file()


def test_backbone_that_is_not_whole_is_refused(tiny, tmp_path):
    config, weights, state = tiny("vit_base")
    del state["backbone.layers.1.ln1.weight"]
    torch.save({"state_dict": state}, weights)
    missing = "loaded 29 of 30 .* not in the file: backbone.layers.1.ln1.weight"
    with pytest.raises(CheckpointMismatchError, match=missing) as caught:
        train(load_config(str(config), work_dir=str(tmp_path / "work")))
    assert str(caught.value).startswith(f"{weights} does not hold the VisionTransformer that")


def test_position_embedding_of_another_image_size_is_resized(tiny, tmp_path):
    config, weights, state = tiny("vit_base")
    state["backbone.pos_embed"] = torch.randn(1, 1 + 49, 16)
    torch.save({"state_dict": state}, weights)
    runner = train(load_config(str(config), work_dir=str(tmp_path / "work")))
    assert runner.model.backbone.pos_embed.shape == (1, 17, 16)
    assert "Resize the pos_embed shape" in read_log(tmp_path / "work")
