"""Time a probe against the published procedure on ResNet-18, in one process.

The published procedure keeps copies of the network for stem and tail, writes network and optimizer
to a file, reads it back into both copies and calls ``backward`` at every step, which computes all
weight gradients; the norms are NumPy's. Both take turns and have to give the same numbers. Only
the ratio means something: the machine is whatever it is. The peak memory of a probe is compared
with that of one forward and backward pass of the tail.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from allocated_memory import peak_bytes
from machine import write_report
from torch import Tensor, nn
from torch.nn import functional

from gcp_mm.landscape import probe
from gcp_mm.version import __version__


def stem_of(network: nn.Module, images: Tensor) -> Tensor:
    """Run torchvision's ResNet up to the max-pool."""
    return network.maxpool(network.relu(network.bn1(network.conv1(images))))


def tail_of(network: nn.Module, maps: Tensor) -> Tensor:
    """Run the rest of it."""
    for layer in (network.layer1, network.layer2, network.layer3, network.layer4, network.avgpool):
        maps = layer(maps)
    return network.fc(maps.flatten(1))


def published(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    copies: tuple[nn.Module, nn.Module],
    images: Tensor,
    targets: Tensor,
    etas: np.ndarray,
    file: Path,
) -> tuple[list[float], list[float]]:
    """Follow the procedure of the original; return the losses and the gradient changes."""
    content = {"state_dict": network.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(content, file)
    for one in copies:
        one.load_state_dict(torch.load(file, weights_only=True)["state_dict"])
    stem, tail = copies
    with torch.no_grad():
        y = stem_of(stem, images)

    def gradient(at: Tensor) -> tuple[float, np.ndarray]:
        at = at.detach().requires_grad_()
        tail.zero_grad()
        loss = functional.cross_entropy(tail_of(tail, at), targets)
        loss.backward()
        return loss.item(), at.grad.cpu().numpy()

    _, g = gradient(y)
    found = [gradient(y + eta * torch.from_numpy(g)) for eta in etas]
    return [loss for loss, _ in found], [float(np.linalg.norm(there - g)) for _, there in found]


def measure(batch: int, size: int, steps: int, repetitions: int) -> dict:
    """Time both in turn; return times, ratio and the largest relative difference of the losses."""
    network = torchvision.models.resnet18()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    images, targets = torch.randn(batch, 3, size, size), torch.randint(1000, (batch,))
    # The optimizer that is saved has its momenta.
    functional.cross_entropy(network(images), targets).backward()
    optimizer.step()
    copies = (copy.deepcopy(network).train(), copy.deepcopy(network).train())
    etas = np.linspace(0.1, 75, steps) * batch / 256
    maps = stem_of(network, images).detach()
    times: dict[str, list[float]] = {"published": [], "probe": []}

    def tail_pass(tail: nn.Module, maps: Tensor) -> list[Tensor | None]:
        tail.zero_grad()
        functional.cross_entropy(tail_of(tail, maps.requires_grad_()), targets).backward()
        return [parameter.grad for parameter in tail.parameters()]

    def timed(name: str, function: Callable) -> object:
        start = time.perf_counter()
        result = function()
        times[name].append(time.perf_counter() - start)
        return result

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "temporary.pth.tar"
        for _ in range(repetitions):
            losses, _ = timed(
                "published",
                lambda: published(network, optimizer, copies, images, targets, etas, file),
            )
            found = timed("probe", lambda: probe(network, images, targets, etas=etas))
        peaks = {
            "published": peak_bytes(
                lambda: published(network, optimizer, copies, images, targets, etas, file)
            ),
            "probe": peak_bytes(lambda: probe(network, images, targets, etas=etas)),
            "tail, forward and backward": peak_bytes(lambda: tail_pass(copies[1], maps)),
        }
    seconds = {name: statistics.median(values) for name, values in times.items()}
    return {
        "seconds": seconds,
        "all_seconds": times,
        "peak_bytes": peaks,
        "ratio": seconds["published"] / seconds["probe"],
        "loss_difference": float(np.abs(found.losses / np.array(losses) - 1).max()),
    }


def main() -> None:
    """Measure, print the ratio and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=64, help="height and width of the images")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    results = measure(args.batch, args.size, args.steps, args.repetitions)
    report = {
        "machine": f"{platform.machine()}, {args.threads} threads, CPU",
        "torch": torch.__version__,
        "gcp_mm": __version__,
        "batch": args.batch,
        "size": args.size,
        "steps": args.steps,
        "repetitions": args.repetitions,
        **results,
    }
    for name, value in results["seconds"].items():
        print(f"{name:<10} {value:8.3f} s")
    for name, value in results["peak_bytes"].items():
        print(f"peak memory of {name}: {value / 2**20:.1f} MiB")
    print(f"ratio      {results['ratio']:8.2f}   loss difference {results['loss_difference']:.1e}")
    write_report(report, args.out)


if __name__ == "__main__":
    main()
