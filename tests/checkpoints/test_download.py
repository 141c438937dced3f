"""Checkpoints from addresses: downloaded once, checked, and never executed."""

import hashlib
import io

import pytest
import torch
import torchvision
from mmengine.runner.checkpoint import CheckpointLoader
from tiny_runs import Hostile

import gcp_mm.registry  # noqa: F401  (installs the checkpoint loaders)
from gcp_mm.checkpoints import http_file
from gcp_mm.checkpoints import loader as checkpoint_loader
from gcp_mm.errors import UnsafeCheckpointError, UserError


def named_by_hash(server, content):
    """Serve a checkpoint under a name with the first digits of its sha256."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    name = f"net-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    server.files[f"/{name}"] = buffer.getvalue()
    return name


def test_downloads_once(server, cached):
    weights = {"w": torch.arange(5.0)}
    name = named_by_hash(server, weights)
    for _ in range(2):
        loaded = CheckpointLoader.load_checkpoint(f"{server.url}/{name}", "cpu")
        assert torch.equal(loaded["w"], weights["w"])
        server.stop()
    assert cached() == [name]


def test_wrong_hash_is_refused_and_not_kept(server, cached):
    name = named_by_hash(server, {"w": torch.ones(1)})
    server.files[f"/{name}"] += b"?"
    with pytest.raises(UserError, match=f"{name}.*hash") as caught:
        CheckpointLoader.load_checkpoint(f"{server.url}/{name}")
    assert f"hub/checkpoints/{name}, or give a local path" in str(caught.value)
    assert cached() == []


def test_hostile_download_is_refused_unexecuted(server, tmp_path):
    name = named_by_hash(server, {"state_dict": Hostile(tmp_path / "marker")})
    with pytest.raises(UnsafeCheckpointError, match="nothing in it was executed"):
        CheckpointLoader.load_checkpoint(f"{server.url}/{name}")
    assert not (tmp_path / "marker").exists()


FAILURES = {
    "404": lambda server: server.files.clear(),
    "HTTP": lambda server: setattr(server, "garbage", True),
    "refused": lambda server: server.stop(),
    "broke after 54 of 9000 bytes": lambda server: server.cuts.append(54),
}


@pytest.mark.parametrize("reason", FAILURES)
def test_failed_download_says_where_to_put_the_file_and_keeps_nothing(server, cached, reason):
    server.files["/net.pth"] = b"PK\x03\x04" + bytes(8996)
    FAILURES[reason](server)
    address = f"{server.url}/net.pth"
    with pytest.raises(UserError, match=reason) as caught:
        CheckpointLoader.load_checkpoint(address)
    for part in (address, str(http_file.place(address)), "init_cfg.checkpoint=PATH"):
        assert part in str(caught.value)
    assert cached() == []


@pytest.mark.parametrize("prefix", ["torchvision", "modelzoo"])
def test_torchvision_name_is_its_address(monkeypatch, prefix):
    calls, weights = [], {"w": torch.ones(1)}
    monkeypatch.setattr(
        checkpoint_loader, "load_from_url", lambda *arguments: calls.append(arguments) or weights
    )
    assert CheckpointLoader.load_checkpoint(f"{prefix}://resnet18", "cpu") == weights
    address = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
    assert calls == [(address, "cpu")]


def test_torchvision_has_no_such_model():
    with pytest.raises(UserError, match="nosuchmodel"):
        CheckpointLoader.load_checkpoint("torchvision://nosuchmodel")


@pytest.mark.parametrize("scheme", ["open-mmlab", "openmmlab", "mmcls"])
def test_weights_by_a_name_of_mmengine_are_not_executed(server, monkeypatch, scheme, tmp_path):
    """mmengine's own loaders of these schemes unpickle whatever the address gives."""
    weights = {"backbone.w": torch.arange(3.0)}
    content = {"net": weights, "hostile": Hostile(tmp_path / "marker")}
    table = {
        name: f"{server.url}/{named_by_hash(server, {'state_dict': part})}"
        for name, part in content.items()
    }
    for models in ("get_external_models", "get_mmcls_models"):
        monkeypatch.setattr(checkpoint_loader.upstream, models, lambda: table)
    loaded = CheckpointLoader.load_checkpoint(f"{scheme}://net", "cpu")["state_dict"]
    # Of a classifier mmengine takes the backbone.
    name = "w" if scheme == "mmcls" else "backbone.w"
    assert torch.equal(loaded[name], weights["backbone.w"])
    with pytest.raises(UnsafeCheckpointError, match="nothing in it was executed"):
        CheckpointLoader.load_checkpoint(f"{scheme}://hostile")
    assert not (tmp_path / "marker").exists()
    with pytest.raises(UserError, match=f"no weights called '{scheme}://absent'"):
        CheckpointLoader.load_checkpoint(f"{scheme}://absent")
