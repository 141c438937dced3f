"""``--amp``: turn the optimizer wrapper of a config into one that computes in mixed precision.

On the CPU, where mmengine's ``AmpOptimWrapper`` refuses to work, that is
:class:`CPUAmpOptimWrapper`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from torch import nn

from gcp_mm.engine.config import AMP_DTYPES
from gcp_mm.errors import UserError
from gcp_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Compute the forward pass under ``torch.autocast('cpu', torch.bfloat16)``.

    bfloat16 has the range of float32, so that gradients need no loss scale.

    Args:
        dtype: 'bfloat16'. The CPU's autocast has float16 too, but its gradients would underflow
            without a scale.
        **kwargs: Arguments of mmengine's OptimWrapper.

    Raises:
        UserError: If ``dtype`` is another one.
    """

    def __init__(self, dtype: str | torch.dtype = "bfloat16", **kwargs: object) -> None:
        if dtype not in ("bfloat16", torch.bfloat16):
            raise UserError(
                f"optim_wrapper.type=gcp_mm.CPUAmpOptimWrapper has no dtype={dtype}: on the CPU, "
                "mixed precision is bfloat16"
            )
        super().__init__(**kwargs)

    def load_state_dict(self, state_dict: dict) -> None:
        """Load a state; the loss scale of a run on a GPU is left out."""
        state_dict.pop("loss_scaler", None)
        super().load_state_dict(state_dict)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Accumulate gradients as mmengine does, and compute in bfloat16."""
        with super().optim_context(model), torch.autocast("cpu", torch.bfloat16):
            yield


# Strategies of a FlexibleRunner that train with the wrapper of the config as it is.
_PLAIN_STRATEGIES = ("SingleDeviceStrategy", "DDPStrategy")


def _default_dtype(device: str) -> str:
    """Return what ``--amp`` without a value means on a device."""
    if device == "cpu":
        return "bfloat16"
    # Older GPUs emulate it, slower than float32.
    native = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if native else "float16"


def _name(kind: object) -> str:
    """Return the name of a registered type, or of the class that a lazy config holds."""
    return kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))


def _resolve(wrapper: ConfigDict) -> type:
    """Return the wrapper's class, which has to be one that mixed precision can be put into."""
    if "optimizer" not in wrapper:
        raise UserError(
            "--amp does not go with an optim_wrapper of several optimizers "
            f"({', '.join(key for key in wrapper if key not in ('type', 'constructor'))}): give "
            "each of them type='AmpOptimWrapper' in the config instead"
        )
    kind = wrapper.get("type") or "OptimWrapper"
    found = MMENGINE_OPTIM_WRAPPERS.get(kind) if isinstance(kind, str) else kind
    if found not in (OptimWrapper, AmpOptimWrapper, CPUAmpOptimWrapper):
        raise UserError(
            f"--amp does not go with optim_wrapper.type={_name(kind)}, whose settings it would "
            "replace: train without --amp, or with --cfg-options optim_wrapper.type=OptimWrapper"
        )
    return found


def _check_runner(cfg: Config) -> None:
    strategy = (cfg.get("strategy") or {}).get("type", "DDPStrategy")
    if cfg.get("runner_type") == "FlexibleRunner" and _name(strategy) not in _PLAIN_STRATEGIES:
        raise UserError(
            f"--amp does not go with strategy.type={_name(strategy)}, which has settings of its "
            "own for mixed precision: train without --amp, or with a strategy out of "
            f"{', '.join(_PLAIN_STRATEGIES)}"
        )


def _use_cpu_wrapper(wrapper: ConfigDict) -> None:
    """Set the wrapper for the CPU; what it cannot do of the config's settings is an error."""
    scale = wrapper.get("loss_scale")
    if scale not in (None, "dynamic") or wrapper.get("use_fsdp"):
        key = "use_fsdp" if wrapper.get("use_fsdp") else "loss_scale"
        raise UserError(
            f"--amp on the CPU does not go with optim_wrapper.{key}={wrapper[key]}: its bfloat16 "
            f"needs no loss scale and no FSDP. Remove optim_wrapper.{key} from the config"
        )
    wrapper.pop("loss_scale", None)
    wrapper.pop("use_fsdp", None)
    wrapper.update(type="gcp_mm.CPUAmpOptimWrapper", dtype="bfloat16")


def enable_amp(cfg: Config, amp: bool | str, device: str | None = None) -> None:
    """Make the training of a config use mixed precision.

    The wrapper keeps every other setting (clip_grad, accumulative_counts, paramwise_cfg, ...), and
    so does an ``AmpOptimWrapper`` that the config has already. Evaluation stays in float32, as
    mmengine's loops do unless ``val_cfg.fp16`` or ``test_cfg.fp16`` is set.
    """
    device = device or get_device()
    wrapper = cfg.get("optim_wrapper")
    if not wrapper:
        raise UserError("--amp needs a config that trains: this one has no optim_wrapper")
    if amp is not True and amp not in AMP_DTYPES:
        raise UserError(f"amp={amp!r} is neither a bool nor one of {', '.join(AMP_DTYPES)}")
    if device == "mps":
        raise UserError("--amp has no support for the device mps in mmengine; train without it")
    _check_runner(cfg)
    found = _resolve(wrapper)
    if found is AmpOptimWrapper and amp is True and device != "cpu":
        return
    given = wrapper.get("dtype")
    given = None if given is None else str(given).removeprefix("torch.")
    dtype = given or _default_dtype(device) if amp is True else amp
    if given not in (None, dtype):
        raise UserError(
            f"--amp {dtype} contradicts optim_wrapper.dtype={given} of the config; leave one out"
        )
    if device == "cpu" and dtype != "bfloat16":
        raise UserError(
            f"{dtype} on the CPU is not possible, since its gradients would need a loss scale "
            "that mmengine has for GPUs alone: use --amp bfloat16 (optim_wrapper.dtype=bfloat16)"
        )
    if found is CPUAmpOptimWrapper and device != "cpu":
        raise UserError(
            f"--amp on the device {device} does not go with optim_wrapper.type=gcp_mm."
            "CPUAmpOptimWrapper of the config; remove that type"
        )
    if device == "cuda" and dtype == "bfloat16" and not torch.cuda.is_bf16_supported():
        raise UserError("this GPU has no bfloat16; use --amp float16")
    if device == "cpu":
        _use_cpu_wrapper(wrapper)
    else:
        wrapper.update(type="AmpOptimWrapper", dtype=dtype)
        # bfloat16 has the range of float32: a scale would only cost a check for infinity.
        wrapper.setdefault("loss_scale", dict(enabled=False) if dtype == "bfloat16" else "dynamic")


def check_amp_device(cfg: Config, device: str | None = None) -> None:
    """Check that a config's own mixed precision can run, where ``--amp`` was not given."""
    kind = _name((cfg.get("optim_wrapper") or {}).get("type"))
    if kind.rpartition(".")[2] == "AmpOptimWrapper" and (device or get_device()) == "cpu":
        raise UserError(
            "optim_wrapper.type=AmpOptimWrapper needs a GPU, and torch sees none: add --amp to "
            "train in bfloat16 on the CPU, or --cfg-options optim_wrapper.type=OptimWrapper"
        )
