"""Random numbers of an epoch are the same in whatever way a training came there."""

import random

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmpretrain.registry import TRANSFORMS
from tiny_runs import forget_runs, read_checkpoint, write_config

from gcp_mm.engine.config import load_config
from gcp_mm.engine.epoch_seed import seed_worker
from gcp_mm.engine.runner import train

# The crops are drawn by NumPy.
CONFIG = """
_base_ = '{classifier}'

model = dict(
    backbone=dict(num_stages=1, strides=[1], dilations=[1], out_indices=[0]),
    neck=dict(in_channels=16, reduced_channels=4),
    head=dict(in_channels=10))
train_dataloader = dict(
    num_workers={workers},
    worker_init_fn=dict(type='gcp_mm.seed_worker'),
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile', imdecode_backend='pillow'),
        dict(type='RandomResizedCrop', scale=16, backend='pillow'),
        dict(type='Darken'),
        dict(type='PackInputs')]))
custom_hooks = [*_base_.custom_hooks, dict(type='gcp_mm.EpochSeedHook'), dict(type='mmengine.See')]
val_dataloader = None
val_cfg = None
val_evaluator = None
train_cfg = dict(max_epochs=2, val_interval=10)
default_hooks = dict(checkpoint=dict(save_best=None))
"""


@TRANSFORMS.register_module()
class Darken:
    """Make an image darker, by what the generators of Python and of PyTorch say."""

    def __call__(self, results):
        number = random.randint(1, 4) + int(torch.randint(4, ()))
        results["img"] = results["img"] // number
        return results


@HOOKS.register_module()
class See(Hook):
    """Keep the batches that the network is given, by epoch, and stop after an epoch if told to."""

    seen = {}
    last = None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.setdefault(runner.epoch, []).append(data_batch["inputs"].clone())

    def before_train_epoch(self, runner):
        if runner.epoch == self.last:
            raise KeyboardInterrupt


@pytest.fixture
def see(classifier, tmp_path, monkeypatch):
    """Return a function that trains, and returns what was seen and the weights at the end."""

    def run(name, workers=0, stop=None, resume=False, **options):
        monkeypatch.setattr(See, "seen", {})
        monkeypatch.setattr(See, "last", stop)
        config = write_config(tmp_path / "c.py", CONFIG, classifier=classifier, workers=workers)
        cfg = load_config(str(config), options, str(tmp_path / name))
        if stop is None:
            train(cfg, resume=resume)
        else:
            with pytest.raises(KeyboardInterrupt):
                train(cfg)
        forget_runs()
        path = tmp_path / name / f"epoch_{stop or 2}.pth"
        return See.seen, read_checkpoint(path)["state_dict"]

    return run


@pytest.fixture(scope="module")
def made():
    """Keep what the training without a stop has seen, for all tests that compare with it."""
    return {}


@pytest.fixture
def straight(see, made):
    """Return a function that gives what is seen without a stop, and the weights at the end."""

    def get(workers=0):
        if workers not in made:
            made[workers] = see("straight", workers)
        return made[workers]

    return get


def same(first, second):
    return len(first) == len(second) and all(map(torch.equal, first, second))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_training_that_was_stopped_goes_on_as_one_that_was_not(see, straight, workers):
    whole, expected = straight(workers)
    stopped, _ = see("stopped", workers, stop=1)
    resumed, found = see("stopped", workers, resume=True)
    assert sorted(whole) == [0, 1] and list(stopped) == [0] and list(resumed) == [1]
    assert same(stopped[0], whole[0]) and same(resumed[1], whole[1])
    # Something is drawn, and not the same in the other epoch.
    first, second = (torch.cat(whole[epoch]).flatten(1) for epoch in (0, 1))
    assert not set(map(tuple, first.tolist())) & set(map(tuple, second.tolist()))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("workers", [0, 1])
def test_networks_of_any_size_see_the_same_images(see, straight, workers):
    one, _ = straight(workers)
    wide = {"model.neck.reduced_channels": 8, "model.head.in_channels": 36}
    other, _ = see("other", workers, **wide, **{"model.backbone.stem_channels": 8})
    assert all(same(one[epoch], other[epoch]) for epoch in (0, 1))


def test_another_seed_has_other_images(see, straight):
    one, _ = straight()
    other, _ = see("other", **{"randomness.seed": 1})
    assert not same(one[0], other[0])


def test_a_worker_follows_what_the_main_process_drew_for_it():
    """Not the seed of the run, which is the same in every epoch."""

    def draw(drawn, worker):
        torch.manual_seed(drawn)
        seed_worker(worker, num_workers=2, rank=0, seed=0)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    first = draw(5, 0)
    assert draw(5, 0) == first
    for other in (draw(6, 0), draw(5, 1)):
        assert not set(other) & set(first)
    random.setstate(state[0])
    np.random.set_state(state[1])
    torch.set_rng_state(state[2])
