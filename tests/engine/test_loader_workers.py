"""What workers need, what the machine has, and the same batches by another way where it lacks."""

import gc
import importlib
import multiprocessing
import pickle
import resource
import shutil
import subprocess
from collections import namedtuple
from multiprocessing.process import BaseProcess

import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.registry import TRANSFORMS
from tiny_runs import forget_runs, only_error, read_checkpoint
from torch.utils.data import DataLoader, Dataset

from gcp_mm.engine import loader_workers
from gcp_mm.engine.config import load_config
from gcp_mm.engine.loader_workers import prepare_workers, require_open_files
from gcp_mm.engine.runner import train
from gcp_mm.errors import UserError

Usage = namedtuple("Usage", "total used free")
MEGABYTE = 2**20
SIDE = 64


class Squares(Dataset):
    """Images of one colour with labels, and with their axes in the order of a file."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        image = torch.full((SIDE, SIDE, 3), index, dtype=torch.uint8).permute(2, 0, 1)
        return {"inputs": image, "label": torch.tensor([index]).expand(1)}


def batches_of(collate, prepared=True):
    loader = DataLoader(Squares(), batch_size=4, num_workers=2, collate_fn=collate)
    if prepared:
        prepare_workers(loader)
    found = []
    for batch in loader:
        inputs, labels = batch["inputs"], batch["label"]
        if isinstance(inputs, list):
            assert {image.stride() for image in inputs} == {(1, SIDE * 3, 3)}
            inputs, labels = torch.stack(inputs), torch.stack(labels)
        found.append((inputs, labels, batch["inputs"][0].is_shared()))
    return found


@pytest.mark.parametrize("collate", [default_collate, pseudo_collate])
@pytest.mark.parametrize(("free", "shared"), [(0, False), (10 * MEGABYTE, True)])
def test_batches_are_the_same_by_either_way(monkeypatch, capfd, collate, free, shared):
    # Of an earlier test, whose output nobody reads.
    forget_runs()
    expected = batches_of(collate, prepared=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(64 * MEGABYTE, 0, free))
    found = batches_of(collate)
    for (inputs, labels, is_shared), (images, classes, _) in zip(found, expected, strict=True):
        assert inputs.equal(images) and labels.equal(classes)
        assert is_shared == shared
    forget_runs()
    said = capfd.readouterr()
    said = said.out + said.err
    # Once for both workers and all batches.
    assert said.count("/dev/shm (64 MB) is full: batches that find no room") == (not shared)
    assert said.count("docker run --ipc=host, or --shm-size=1g") == (not shared)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("collate", "replaced"),
    [(pseudo_collate, "reduce_tensor"), (default_collate, "collate_tensor_fn")],
)
def test_memory_that_another_process_has_taken_meanwhile(monkeypatch, collate, replaced):
    expected = batches_of(collate, prepared=False)
    monkeypatch.setattr(loader_workers, "_has_room", lambda size: True)

    def fail(*args, **kwargs):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>")

    monkeypatch.setattr(loader_workers, replaced, fail)
    found = batches_of(collate)
    assert all(x[0].equal(y[0]) for x, y in zip(found, expected, strict=True))


TENSORS = {
    "number": torch.tensor(3),
    "none": torch.zeros(0, 4),
    "transposed": torch.rand(4, 5).t(),
    "channels last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "part": torch.rand(6, 8)[::2, 1:5],
    "expanded": torch.rand(1, 1).expand(3, 4),
    "expanded to one": torch.tensor([5, 6])[1:].expand(1),
    "bfloat16": torch.rand(5).bfloat16(),
    "flags": torch.tensor([True, False]),
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.filterwarnings("error")
def test_tensor_by_value(name):
    tensor = TENSORS[name]
    rebuild, arguments = loader_workers._by_value(tensor)
    found = rebuild(*pickle.loads(pickle.dumps(arguments)))
    assert found.dtype == tensor.dtype and found.equal(tensor)
    # Of a tensor with gaps there is no form without them that has its strides.
    if name not in ("part", "expanded"):
        assert found.stride() == tensor.stride()


def test_function_of_the_loader_is_called_as_well():
    seen = torch.zeros(2).share_memory_()
    loader = DataLoader(
        Squares(), num_workers=2, worker_init_fn=lambda worker: seen[worker].fill_(worker + 1)
    )
    prepare_workers(loader)
    prepare_workers(loader)
    list(loader)
    assert seen.tolist() == [1, 2]


def test_what_no_worker_can_do_without(monkeypatch, tmp_path):
    monkeypatch.setattr(loader_workers, "SHARED", tmp_path / "shm")
    for given, named in (((), "--workers 0"), (("x=0",), "x=0")):
        absent = rf"there is no .*shm .*--ipc=host.*--shm-size=1g\), or use {named}$"
        with pytest.raises(UserError, match=absent):
            prepare_workers(DataLoader(Squares(), num_workers=1), *given)
    prepare_workers(DataLoader(Squares()))


# Of a file system of its own: the flag is CLONE_NEWNS of linux/sched.h.
SMALL = """
import ctypes, subprocess, torch
if ctypes.CDLL(None).unshare(0x20000):
    raise OSError("unshare")
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", "/dev/shm"], check=True)
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader
from gcp_mm.engine.loader_workers import prepare_workers
data = [torch.full((1 << 20,), index, dtype=torch.uint8) for index in range(24)]
loader = DataLoader(data, batch_size=2, num_workers=2, collate_fn=pseudo_collate)
prepare_workers(loader)
kept = list(loader)  # 24 MB
print([int(image[7]) for batch in kept for image in batch])
"""


def test_small_file_system(run_warm):
    """All batches are held at a time, three times as much as fits."""
    mount = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", "/dev/shm"]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting in a namespace of one's own is not allowed here")
    process = run_warm("-c", SMALL, timeout=60)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == str(list(range(24)))
    assert "/dev/shm (8 MB) is full" in process.stdout + process.stderr


@pytest.fixture
def flipping(classifier, tmp_path):
    path = tmp_path / "flipping.py"
    path.write_text(
        f"_base_ = '{classifier}'\n"
        "pipeline = [dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=0.5),\n"
        "            dict(type='PackInputs')]\n"
        "loader = dict(num_workers=2, persistent_workers=True)\n"
        "train_dataloader = dict(dataset=dict(pipeline=pipeline), **loader)\n"
        "val_dataloader = dict(**loader)\n"
        "train_cfg = dict(max_epochs=1)\n"
    )
    return path


@TRANSFORMS.register_module()
class Unreadable:
    """An image that a worker cannot read."""

    def __call__(self, results):
        raise ValueError("no image")


@pytest.fixture
def workers(monkeypatch):
    """Return the workers that live, and those that torch has killed after 5 s without an end."""
    # The suite spares the collector what is there when they are imported, a runner too.
    for models in ("mmdet.models", "mmpretrain.models"):
        importlib.import_module(models)

    others, killed = multiprocessing.active_children(), []
    terminate = BaseProcess.terminate
    monkeypatch.setattr(
        BaseProcess, "terminate", lambda worker: (killed.append(worker), terminate(worker))
    )
    return lambda: (set(multiprocessing.active_children()) - {*others}, killed)


@pytest.mark.parametrize(
    "loop", [{}, {"type": "IterBasedTrainLoop", "max_iters": 2, "val_interval": 2}]
)
def test_workers_end_with_the_runner(flipping, tmp_path, workers, loop):
    cfg = load_config(str(flipping), None, str(tmp_path / "work"))
    if loop:
        cfg.train_cfg, cfg.default_hooks.checkpoint.by_epoch = loop, False
        cfg.train_dataloader.persistent_workers = False
    runner = train(cfg)
    assert len(workers()[0]) == 4
    del runner
    forget_runs()
    gc.collect()
    assert workers() == (set(), [])


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_end_with_an_error_in_one_of_them(flipping, tmp_path, workers, persistent):
    cfg = load_config(str(flipping), None, str(tmp_path / "work"))
    cfg.train_dataloader.dataset.pipeline.insert(0, dict(type="mmengine.Unreadable"))
    cfg.train_dataloader.persistent_workers = persistent
    gc.disable()
    try:
        with pytest.raises(ValueError, match="no image"):
            train(cfg)
        # At once, unless they belong to the loader, which the runner has.
        assert len(workers()[0]) == 2 * persistent
    finally:
        gc.enable()
    forget_runs()
    gc.collect()
    assert workers() == (set(), [])


def test_training_is_the_same_without_room(call_tool, flipping, tmp_path, monkeypatch):
    states, said = [], []
    for name, free in (("room", 1 << 40), ("none", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda path, free=free: Usage(1 << 40, 0, free))
            code, output, errors = call_tool(
                "tools/train.py", flipping, "--work-dir", tmp_path / name
            )
        assert code == 0, errors
        states.append(read_checkpoint(tmp_path / name / "epoch_1.pth")["state_dict"])
        said.append((output + errors).count("batches that find no room"))
    assert all(states[0][name].equal(states[1][name]) for name in states[0])
    # For the training's loader and the validation's together.
    assert said == [0, 1]


def test_training_with_too_few_open_files(call_tool, flipping, tmp_path, monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda which: (24, 24))
    monkeypatch.setattr("resource.setrlimit", lambda which, limits: None)
    error = only_error(*call_tool("tools/train.py", flipping, "--work-dir", tmp_path / "work"))
    assert error.startswith("error: 24 open files are allowed (ulimit -n), and 2 workers need")
    assert error.endswith(
        "--cfg-options train_dataloader.num_workers=0 train_dataloader.persistent_workers=False"
    )


def test_memory_without_a_limit(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(0, 0, 0))
    assert loader_workers._has_room(1 << 40)


def test_limit_on_open_files_is_raised_or_named(monkeypatch):
    limits = [(24, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[0])
    monkeypatch.setattr(resource, "setrlimit", lambda which, new: limits.insert(0, new))
    require_open_files(0)
    assert limits == [(24, 4096)]
    require_open_files(2)
    assert 48 < limits[0][0] < 4096 and limits[0][1] == 4096
    limits[:] = [(24, 24)]
    with pytest.raises(UserError, match=r"^24 open files are allowed .ulimit -n., and 1 workers"):
        require_open_files(1)
