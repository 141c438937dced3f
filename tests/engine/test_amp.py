"""Which optimizer wrapper ``--amp`` makes of a config's.

Mixed precision on the CPU.
"""

import argparse

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from gcp_mm.engine.amp import check_amp_device, enable_amp
from gcp_mm.engine.config import add_amp_argument
from gcp_mm.errors import UserError
from gcp_mm.ops import GlobalCovariancePool

SETTINGS = dict(
    optimizer=dict(type="SGD", lr=0.1),
    clip_grad=dict(max_norm=1.0),
    accumulative_counts=2,
    paramwise_cfg=dict(bias_lr_mult=2.0),
)
UNSCALED = dict(enabled=False)


def wrapper_of(amp=True, device="cuda", runner=None, **changes):
    """Return the wrapper that a config has afterwards, without what must stay as it was."""
    cfg = Config(dict(optim_wrapper={**SETTINGS, **changes}, **(runner or {})))
    enable_amp(cfg, amp, device)
    found = cfg.optim_wrapper.to_dict()
    for key, value in SETTINGS.items():
        assert found.pop(key) == value
    return found


@pytest.fixture
def gpu(monkeypatch):
    """Pretend a GPU with bfloat16 of its own, emulated, or none."""

    def set_up(native, emulated=True):
        def supported(including_emulation=True):
            return native or (emulated and including_emulation)

        monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)

    set_up(native=True)
    return set_up


@pytest.mark.parametrize(
    "kind", [{}, dict(type="OptimWrapper"), dict(type="mmengine.OptimWrapper")]
)
def test_plain_wrapper_on_gpus(gpu, kind):
    assert wrapper_of(**kind) == dict(type="AmpOptimWrapper", dtype="bfloat16", loss_scale=UNSCALED)
    gpu(native=False)
    float16 = dict(type="AmpOptimWrapper", dtype="float16", loss_scale="dynamic")
    assert wrapper_of(**kind) == float16
    gpu(native=True)
    assert wrapper_of("float16", **kind) == float16


def test_bfloat16_where_the_gpu_emulates_it_or_has_none(gpu):
    gpu(native=False)
    assert wrapper_of("bfloat16")["dtype"] == "bfloat16"
    gpu(native=False, emulated=False)
    with pytest.raises(UserError, match="no bfloat16; use --amp float16"):
        wrapper_of("bfloat16")


def test_disabled_scale_is_one_that_mmengine_takes(monkeypatch):
    module = "mmengine.optim.optimizer.amp_optimizer_wrapper"
    monkeypatch.setattr(f"{module}.is_cuda_available", lambda: True)
    weight = torch.nn.Parameter(torch.ones(2))
    wrapper = AmpOptimWrapper(
        optimizer=torch.optim.SGD([weight], lr=0.5),
        clip_grad=dict(max_norm=1.0),
        dtype="bfloat16",
        loss_scale=UNSCALED,
    )
    wrapper.update_params(2 * weight.sum())  # a gradient of length sqrt(8), clipped to 1
    assert weight.tolist() == pytest.approx([1 - 0.5 / 2**0.5] * 2)
    wrapper.load_state_dict(wrapper.state_dict())


def test_settings_of_an_amp_wrapper_are_kept(gpu):
    own = dict(type="AmpOptimWrapper", dtype="float16", loss_scale=512.0)
    assert wrapper_of(**own) == own
    assert wrapper_of("float16", **own) == own
    assert wrapper_of(type="AmpOptimWrapper") == dict(type="AmpOptimWrapper")
    assert wrapper_of(type=AmpOptimWrapper) == dict(type=AmpOptimWrapper)
    assert wrapper_of("bfloat16", type="AmpOptimWrapper", loss_scale=8.0) == dict(
        type="AmpOptimWrapper", dtype="bfloat16", loss_scale=8.0
    )


@pytest.mark.parametrize("amp", [True, "bfloat16"])
def test_cpu(amp):
    expected = dict(type="gcp_mm.CPUAmpOptimWrapper", dtype="bfloat16")
    assert wrapper_of(amp, "cpu") == expected
    assert wrapper_of(amp, "cpu", **expected) == expected
    own = dict(type="AmpOptimWrapper", loss_scale="dynamic", dtype=torch.bfloat16)
    assert wrapper_of(amp, "cpu", **own) == expected


@pytest.mark.parametrize(
    ("amp", "device", "changes", "both"),
    [
        (
            "bfloat16",
            "cuda",
            dict(type="AmpOptimWrapper", dtype="float16"),
            ["--amp bfloat16", "optim_wrapper.dtype=float16"],
        ),
        (
            "float16",
            "cuda",
            dict(dtype=torch.bfloat16),
            ["--amp float16", "optim_wrapper.dtype=bfloat16"],
        ),
        (
            True,
            "cuda",
            dict(type="ApexOptimWrapper"),
            ["--amp", "optim_wrapper.type=ApexOptimWrapper"],
        ),
        (True, "cpu", dict(type="MyOptimWrapper"), ["--amp", "optim_wrapper.type=MyOptimWrapper"]),
        (
            True,
            "cuda",
            dict(type="gcp_mm.CPUAmpOptimWrapper"),
            ["device cuda", "CPUAmpOptimWrapper"],
        ),
        ("float16", "cpu", {}, ["float16 on the CPU", "--amp bfloat16"]),
        (
            True,
            "cpu",
            dict(type="AmpOptimWrapper", dtype="float16"),
            ["float16 on the CPU", "dtype=bfloat16"],
        ),
        (
            True,
            "cpu",
            dict(type="AmpOptimWrapper", loss_scale=512.0),
            ["--amp", "optim_wrapper.loss_scale=512.0"],
        ),
        (
            True,
            "cpu",
            dict(type="AmpOptimWrapper", use_fsdp=True),
            ["--amp", "optim_wrapper.use_fsdp"],
        ),
        (True, "mps", {}, ["--amp", "mps"]),
        ("float32", "cuda", {}, ["'float32'", "bfloat16"]),
    ],
)
def test_what_cannot_be_combined_names_both(gpu, amp, device, changes, both):
    with pytest.raises(UserError) as caught:
        wrapper_of(amp, device, **changes)
    assert [part for part in both if part not in str(caught.value)] == []


def test_several_optimizers():
    several = dict(constructor="Own", generator=SETTINGS, critic=SETTINGS)
    with pytest.raises(UserError, match="several optimizers .generator, critic.*AmpOptimWrapper"):
        enable_amp(Config(dict(optim_wrapper=several)), True, "cuda")


def test_strategies_of_a_flexible_runner(gpu):
    for strategy in ({}, dict(strategy=dict(type="DDPStrategy"))):
        runner = dict(runner_type="FlexibleRunner", **strategy)
        assert wrapper_of(runner=runner)["type"] == "AmpOptimWrapper"
    runner = dict(runner_type="FlexibleRunner", strategy=dict(type="DeepSpeedStrategy"))
    with pytest.raises(UserError, match="--amp does not go with strategy.type=DeepSpeedStrategy"):
        wrapper_of(runner=runner)


def test_config_without_training():
    with pytest.raises(UserError, match="no optim_wrapper"):
        enable_amp(Config({}), True, "cpu")


def test_amp_of_the_config_without_the_option():
    cfg = Config(dict(optim_wrapper=dict(type="AmpOptimWrapper", **SETTINGS)))
    check_amp_device(cfg, "cuda")
    with pytest.raises(UserError, match="AmpOptimWrapper needs a GPU.* add --amp"):
        check_amp_device(cfg, "cpu")
    check_amp_device(Config(dict(optim_wrapper=SETTINGS)), "cpu")
    check_amp_device(Config({}), "cpu")


def test_option(capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    add_amp_argument(parser)
    values = [
        parser.parse_args(arguments).amp
        for arguments in (["a.py"], ["a.py", "--amp"], ["--amp", "float16", "a.py"])
    ]
    assert values == [False, True, "float16"]
    with pytest.raises(SystemExit):
        parser.parse_args(["--amp", "a.py"])
    assert "'a.py' is neither float16 nor bfloat16; write a config before --amp" in (
        capsys.readouterr().err
    )


def build(model, **changes):
    cfg = dict(
        type="gcp_mm.CPUAmpOptimWrapper", optimizer=torch.optim.SGD(model.parameters(), lr=0.5)
    )
    return OPTIM_WRAPPERS.build({**cfg, **changes})


def test_convolution_is_bfloat16_and_the_pooling_layer_float32():
    model = nn.Conv2d(3, 4, 1)
    wrapper, pool = build(model), GlobalCovariancePool()
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with wrapper.optim_context(model):
        features = model(images)
        pooled = pool(features)
    assert features.dtype == torch.bfloat16
    # The layer rounds its result to the dtype of its input, and nothing before that.
    assert torch.equal(pooled, pool(features.float()).to(pooled.dtype))
    assert not torch.is_autocast_enabled("cpu")
    assert features.grad_fn is not None
    assert model.weight.dtype == torch.float32


def test_accumulates_as_mmengine_does():
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    wrapper = build(model, accumulative_counts=2)
    for step, expected in enumerate(([1.0, 1.0], [0.5, 0.0])):
        with wrapper.optim_context(model):
            loss = model(torch.tensor([[1.0, 2.0]])).sum()
        assert loss.dtype == torch.bfloat16
        wrapper.update_params(loss.float())
        assert model.weight.tolist() == [expected], step


def test_other_dtype_is_refused():
    model = nn.Linear(2, 1)
    build(model, dtype="bfloat16")
    build(model, dtype=torch.bfloat16)
    with pytest.raises(UserError, match="CPUAmpOptimWrapper has no dtype=float16"):
        build(model, dtype="float16")


def test_takes_the_state_of_a_run_on_a_gpu():
    model = nn.Linear(2, 1)
    wrapper = build(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9))
    model(torch.ones(1, 2)).sum().backward()
    wrapper.step()
    state = wrapper.state_dict()
    assert "loss_scaler" not in state
    other = build(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    other.load_state_dict({**state, "loss_scaler": {"scale": 65536.0}})
    assert other.get_lr()["lr"] == [0.5]
    assert all(
        torch.equal(entry["momentum_buffer"], torch.ones_like(entry["momentum_buffer"]))
        for entry in other.optimizer.state.values()
    )
