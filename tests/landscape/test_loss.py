import copy
import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from gcp_mm.checkpoints.pretrained import load_model
from gcp_mm.errors import UserError
from gcp_mm.landscape.loss import digest_of, finite_mean_loss, fixed_batches, mean_loss


@pytest.mark.parametrize("split", ["train", "val"])
def test_batches_are_images_of_the_split_normalised(cfg, class_folders, split):
    number = 16 if split == "train" else 7
    ((images, classes),) = fixed_batches(cfg, 1, number, seed=3, split=split)
    mean, std = (np.array(cfg.data_preprocessor[key]) for key in ("mean", "std"))
    expected = {}
    for path in sorted((class_folders / split).glob("*/*.png")):
        pixels = (np.asarray(Image.open(path), dtype=float) - mean) / std
        expected[round(float(pixels.sum()), 1)] = int(path.parent.name[-1])
    found = images.double().sum((1, 2, 3)).tolist()
    assert images.shape == (number, 3, 32, 32) and classes.dtype == torch.int64
    for total, label in zip(found, classes.tolist(), strict=True):
        nearest = min(expected, key=lambda other: abs(other - total))
        assert nearest == pytest.approx(total, rel=1e-4) and expected[nearest] == label
    assert len({round(total, 1) for total in found}) == number


@pytest.mark.slow
def test_choice_depends_on_the_seed_alone(cfg):
    changed = copy.deepcopy(cfg)
    changed.model.backbone.depth = 34
    changed.train_dataloader.batch_size = 2
    changed.train_dataloader.num_workers = 2
    first = fixed_batches(cfg, 2, 4, seed=1)
    second = fixed_batches(changed, 4, 2, seed=1)
    assert torch.equal(torch.cat([x for x, _ in first]), torch.cat([x for x, _ in second]))
    assert torch.equal(torch.cat([y for _, y in first]), torch.cat([y for _, y in second]))
    assert not torch.equal(first[0][0], fixed_batches(cfg, 2, 4, seed=2)[0][0])


@pytest.mark.slow
def test_training_images_come_through_the_test_pipeline(cfg):
    changed = copy.deepcopy(cfg)
    flip = dict(type="RandomFlip", prob=1.0)
    changed.train_dataloader.dataset.pipeline.insert(1, flip)
    assert torch.equal(fixed_batches(cfg, 1, 4)[0][0], fixed_batches(changed, 1, 4)[0][0])
    changed.test_dataloader.dataset.pipeline.insert(1, flip)
    assert torch.equal(fixed_batches(cfg, 1, 4)[0][0].flip(3), fixed_batches(changed, 1, 4)[0][0])


@pytest.mark.slow
def test_wrapped_data_set(cfg):
    changed = copy.deepcopy(cfg)
    changed.train_dataloader.dataset = dict(
        type="RepeatDataset", times=3, dataset=cfg.train_dataloader.dataset
    )
    assert torch.equal(fixed_batches(cfg, 1, 4)[0][0], fixed_batches(changed, 1, 4)[0][0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(num_batches=2, batch_size=9), "2 batches of 9 images are 18, and train has 16"),
        (dict(num_batches=0), "0 batches of 256 images"),
        (dict(split="valid"), "split 'valid'"),
    ],
)
def test_request_that_cannot_be_met(cfg, arguments, message):
    with pytest.raises(UserError, match=message):
        fixed_batches(cfg, **arguments)


def test_images_without_a_class_are_refused(cfg):
    changed = copy.deepcopy(cfg)
    changed.val_dataloader.dataset.with_label = False
    with pytest.raises(UserError, match="val_dataloader: an image without exactly one class"):
        fixed_batches(changed, 1, 2, split="val")


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(cfg, checkpoint, value, tmp_path):
    load_model(cfg, checkpoint)
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["head.fc.weight"][0, 0] = value
    content["state_dict"]["backbone.bn1.running_var"][0] = value
    path = tmp_path / "diverged.pth"
    torch.save(content, path)
    named = r"diverged.pth': 2 of \d+ weights are not finite \(head.fc.weight, backbone.bn1.r"
    with pytest.raises(UserError, match=named):
        load_model(cfg, path)


def test_loading_of_many_images_shows_how_far_it_is(cfg, impatient, capsys):
    fixed_batches(cfg, 2, 3)
    errors = capsys.readouterr().err
    assert "loading images:\n" in errors and "] 6/6, " in errors


def batches(*sizes):
    torch.manual_seed(0)
    return [(torch.randn(size, 4), torch.arange(size) % 3) for size in sizes]


def test_mean_is_over_images_not_over_batches():
    network = nn.Linear(4, 3)
    inputs, targets = (torch.cat(part) for part in zip(*batches(5, 2), strict=True))
    expected = nn.functional.cross_entropy(network(inputs).double(), targets)
    found = mean_loss(network, batches(5, 2))
    assert found == pytest.approx(float(expected.detach()), rel=1e-12)


def test_weights_replace_those_of_the_model():
    network, other = nn.Linear(4, 3), nn.Linear(4, 3)
    before = network.weight.clone()
    weights = {"weight": other.weight, "bias": other.bias}
    assert mean_loss(network, batches(5), weights) == mean_loss(other, batches(5))
    assert torch.equal(network.weight, before)


def test_loss_that_is_not_finite_is_an_error():
    network = nn.Linear(4, 3)
    nn.init.constant_(network.bias, float("nan"))
    with pytest.raises(UserError, match="the loss of the network itself is nan"):
        finite_mean_loss(network, batches(5))


def test_digest_is_that_of_the_bytes_of_all_tensors():
    # Files of results and of records state it, and are continued only where it is the same.
    (inputs, targets), (more, _) = batches(5, 2)
    content = inputs.numpy().tobytes() + targets.numpy().tobytes() + more.numpy().tobytes()
    assert digest_of([inputs, targets, more]) == hashlib.sha256(content).hexdigest()
