"""The layer inside a training step: scaled losses, checkpoints, compilers, graphs, streams, DDP."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from gcp_mm.ops import GlobalCovariancePool
from ops.devices import (
    at_once,
    autocast,
    captured,
    held_bytes,
    no_synchronisation,
    on_every_device,
    with_implementations,
)

SHAPES = [(4, 24, 3, 4), (4, 8, 5, 5)]  # N < C and N > C


def classifier(channels=12, device="cpu", impl="auto"):
    """Return a network of few weights; no layer of it depends on how a batch is split."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, channels, 3, stride=2),
        nn.GroupNorm(2, channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1),  # under autocast it gives half precision to the layer
        nn.ReLU(),
        GlobalCovariancePool(impl=impl),
        nn.Linear(channels * (channels + 1) // 2, 4),
    )
    return network.to(device, memory_format=torch.channels_last)


@pytest.fixture
def images(normal):
    def draw(batch=8, seed=0):
        x = normal(batch, 3, 9, 11, seed=seed, dtype=torch.float32)
        return x.contiguous(memory_format=torch.channels_last), torch.arange(batch).to(x.device) % 4

    return draw


def loss_of(network, drawn, dtype=None):
    images, labels = drawn
    with autocast(images.device, dtype):
        return nn.functional.cross_entropy(network(images), labels)


def weights_of(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def train(network, drawn, steps, dtype=None, scaler=None):
    """Train and return the losses."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(network, drawn, dtype)
        if scaler is None:
            loss.backward()
            optimizer.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        losses.append(loss.item())
    return losses


@with_implementations("gram")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_mixed_precision_trains_as_float32_does(device, images, dtype, impl):
    drawn = images()
    exact = train(classifier(device=device), drawn, 20)
    scaler = torch.amp.GradScaler(device.type, init_scale=2.0**12)
    found = train(classifier(device=device, impl=impl), drawn, 20, dtype, scaler)
    assert scaler.get_scale() == 2.0**12  # no step was left out
    assert exact[-1] < 0.9 * exact[0]
    assert found == pytest.approx(exact, rel=5e-3)


@with_implementations("gram")
def test_a_scale_that_is_too_large_is_found_and_halved(device, images, impl):
    """The gradients of the features overflow, and the layer does not hide it."""
    network = classifier(device=device, impl=impl)
    before = weights_of(network)
    scaler = torch.amp.GradScaler(device.type, init_scale=2.0**120)
    train(network, images(), 1, torch.float16, scaler)
    assert scaler.get_scale() == 2.0**119
    assert torch.equal(weights_of(network), before)


@with_implementations("gram")
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=str)
def test_gradient_checkpointing_changes_no_bit(device, normal, pulled_back, dtype, reentrant, impl):
    pool = GlobalCovariancePool(impl=impl)
    for shape in SHAPES:
        x = normal(*shape, dtype=dtype or torch.float32).relu().requires_grad_()
        with autocast(device, dtype):
            value = checkpoint(pool, x, use_reentrant=reentrant)
        value.backward(torch.ones_like(value))
        expected = pulled_back(pool, x)
        assert torch.equal(value, expected[0]) and torch.equal(x.grad, expected[1])


@on_every_device
@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=str)
def test_compiled_classifier_trains_as_the_eager_one(device, images, dtype):
    """On a GPU with the longest search for kernels, which also records CUDA graphs."""
    torch.compiler.reset()
    drawn = images()
    expected = train(classifier(device=device), drawn, 4, dtype)
    network = classifier(device=device)
    how = dict(mode="max-autotune") if device.type == "cuda" else dict(backend="aot_eager")
    found = train(torch.compile(network, fullgraph=True, **how), drawn, 4, dtype)
    torch.compiler.reset()
    assert found == pytest.approx(expected, rel=2e-2 if dtype else 1e-4)


@with_implementations("gram")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_graph_of_the_layer_is_replayed_on_other_numbers(
    device, normal, pulled_back, dtype, shape, impl
):
    pool = GlobalCovariancePool(impl=impl)
    x = normal(*shape).to(dtype)
    g = normal(len(x), shape[1] * (shape[1] + 1) // 2, seed=1).to(dtype)
    replay = captured(lambda: pulled_back(pool, x, g), device)
    for seed in (2, 3):
        x.copy_(normal(*shape, seed=seed))
        found = [part.clone() for part in replay()]
        expected = pulled_back(pool, x, g)
        for ours, eager in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, eager)


@on_every_device
@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=str)
def test_graph_of_a_training_step(device, images, dtype):
    """Forward, backward and the optimizer: replayed, they leave the weights that eager steps do."""

    def prepare():
        network, drawn = classifier(device=device), images()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05)

        def step():
            optimizer.zero_grad()
            loss = loss_of(network, drawn, dtype)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return network, drawn, step

    network, drawn, step = prepare()
    beginning = [parameter.detach().clone() for parameter in network.parameters()]
    replay = captured(step, device)
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), beginning, strict=True):
            parameter.copy_(value)
    other, same, eager_step = prepare()
    for seed in range(3):
        for kept, fresh in zip((drawn[0], same[0]), 2 * (images(seed=seed)[0],), strict=True):
            kept.copy_(fresh)
        assert replay().item() == pytest.approx(eager_step().item(), rel=1e-3)
    torch.testing.assert_close(weights_of(network), weights_of(other), rtol=1e-3, atol=1e-4)


@with_implementations("gram")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_streams_do_not_disturb_each_other(device, normal, pulled_back, dtype, shape, impl):
    """Nothing that is kept from call to call is written to by two of them."""
    pool = GlobalCovariancePool(impl=impl)
    inputs = [normal(*shape, seed=seed).to(dtype) for seed in range(2)]
    expected = [pulled_back(pool, x) for x in inputs]
    for _ in range(10):
        found = at_once([lambda x=x: pulled_back(pool, x) for x in inputs], device)
        for ours, alone in zip(found, expected, strict=True):
            assert all(torch.equal(*pair) for pair in zip(ours, alone, strict=True))


@with_implementations("gram")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_step_does_not_wait_for_the_device(device, normal, pulled_back, dtype, shape, impl):
    pool = GlobalCovariancePool(impl=impl)
    x = normal(*shape).to(dtype)
    pulled_back(pool, x)  # kernels are compiled and tables made
    with no_synchronisation(device):
        pulled_back(pool, x)


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["cuda"], indirect=True)
@pytest.mark.parametrize("impl", ["gram", "gram_fused"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_memory_that_a_gpu_keeps_for_the_backward_pass(device, dtype, impl):
    """Beyond input and vectors nothing; one matrix of each sample would be 2.4 or 4.9 MiB."""
    x = torch.randn(32, 256, 14, 14, device=device, dtype=dtype).requires_grad_()
    pool = GlobalCovariancePool(impl=impl)
    pool(x).sum().backward()  # tables and cuBLAS's memory are kept from here on
    x.grad = None
    before = held_bytes(device)
    vector = pool(x)
    assert held_bytes(device) - before - vector.nbytes < 2**20


def _train_a_part(rank, processes, folder, kind):
    """Train one of some processes on its part of the batch; the first leaves its weights."""
    device = torch.device(kind)
    # One GPU serves both, which NCCL refuses.
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=processes
    )
    numbers = torch.load(Path(folder, "drawn.pt"), map_location=device)
    network = nn.parallel.DistributedDataParallel(classifier(device=device))
    train(network, [part.chunk(processes)[rank] for part in numbers], 3)
    if rank == 0:
        torch.save(weights_of(network).cpu(), Path(folder, "weights.pt"))
    # A group that dies with its network waits for its thread while that waits for the interpreter.
    del network
    torch.distributed.destroy_process_group()


# On a CPU two processes are those of tests/engine.
@pytest.mark.parametrize(
    ("device", "processes"),
    [("cpu", 1), pytest.param("cuda", 2, marks=pytest.mark.gpu)],
    indirect=["device"],
)
def test_processes_train_as_one_does(device, processes, images, tmp_path):
    drawn = images()
    torch.save(drawn, tmp_path / "drawn.pt")
    arguments = (processes, str(tmp_path), device.type)
    if processes == 1:
        _train_a_part(0, *arguments)
    else:
        torch.multiprocessing.spawn(_train_a_part, arguments, nprocs=processes)
    alone = classifier(device=device)
    train(alone, drawn, 3)
    found = torch.load(tmp_path / "weights.pt")
    torch.testing.assert_close(found, weights_of(alone).cpu(), rtol=1e-4, atol=1e-5)
