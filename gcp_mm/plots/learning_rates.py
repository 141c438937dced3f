"""The learning rates that a config trains with, computed and drawn without training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, ReduceOnPlateauParamScheduler
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS

import gcp_mm.registry  # noqa: F401
from gcp_mm.console.progress import if_long
from gcp_mm.errors import UserError
from gcp_mm.plots.figure import as_text, new_figure, save_figure


def learning_rates(cfg: Config, epoch_length: int = 1) -> np.ndarray:
    """Return the learning rate of every iteration, (epochs, epoch_length), without training.

    The schedulers are stepped as mmengine's Runner does; if one counts iterations, the length of
    an epoch has to be known.
    """
    epochs = cfg.train_cfg.get("max_epochs")
    if epochs is None:
        raise UserError("train_cfg has no max_epochs: it counts iterations, and epochs are drawn")
    if epoch_length < 1:
        raise UserError(f"--epoch-length {epoch_length}: at least 1 iteration")
    weight = torch.zeros(1, requires_grad=True)
    optimizer = OPTIMIZERS.build(cfg.optim_wrapper.optimizer, default_args=dict(params=[weight]))
    wrapper = OptimWrapper(optimizer)
    settings = cfg.param_scheduler
    schedulers = []
    for setting in settings if isinstance(settings, list) else [settings]:
        by_epoch = setting.get("by_epoch", True)
        if not by_epoch and epoch_length == 1:
            raise UserError(
                f"{setting['type']} of this config counts iterations: say how many an epoch has "
                "(--epoch-length)"
            )
        setting = {"end": epochs if by_epoch else epochs * epoch_length, **setting}
        arguments = dict(optimizer=wrapper)
        if setting.get("convert_to_iter_based"):
            arguments["epoch_length"] = epoch_length
        schedulers.append(PARAM_SCHEDULERS.build(setting, default_args=arguments))
        if isinstance(schedulers[-1], ReduceOnPlateauParamScheduler):
            raise UserError(f"{setting['type']} follows what a training measures: there is no plan")
    rates = np.empty((epochs, epoch_length))
    with if_long(len(rates), "stepping through epochs") as progress:
        for epoch, row in enumerate(rates):
            for iteration in range(epoch_length):
                rates[epoch, iteration] = optimizer.param_groups[0]["lr"]
                # Changes nothing without gradients, but the schedulers warn if it comes later.
                wrapper.step()
                last = iteration == len(row) - 1
                for scheduler in schedulers:
                    if last or not scheduler.by_epoch:
                        scheduler.step()
            progress.update()
    return rates


def plot_learning_rates(rates: Mapping[str, np.ndarray], path: Path) -> Path:
    """Draw learning rates against epochs, one panel for each network."""
    networks = list(dict.fromkeys(name.partition("_")[0] for name in rates))
    figure = new_figure(width=3.6 * len(networks), height=3.2)
    for axes, network in zip(
        figure.subplots(1, len(networks), squeeze=False)[0], networks, strict=True
    ):
        for name, values in rates.items():
            if name.partition("_")[0] == network:
                label = f"{name.partition('_')[2]}, {len(values)} epochs"
                axes.step(np.arange(len(values)), values, where="post", label=as_text(label))
        axes.set(title=as_text(network), xlabel="epoch", ylabel="learning rate", yscale="log")
        axes.legend(loc="upper right", fontsize=8)
        axes.grid(alpha=0.3)
    return save_figure(figure, path)
