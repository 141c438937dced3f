"""Checkpoints from addresses: downloaded once, checked, and never executed."""

import functools
import hashlib
import http.server

import pytest
import torch
import torchvision
from local_server import serving
from mmengine.runner.checkpoint import CheckpointLoader
from tiny_runs import Hostile

import gcp_mm.registry  # noqa: F401  (installs the checkpoint loaders)
from gcp_mm.checkpoints import http_file
from gcp_mm.checkpoints import loader as checkpoint_loader
from gcp_mm.errors import UnsafeCheckpointError, UserError


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serve files; a name with ``cut`` ends early, one with ``garbage`` is not HTTP."""

    def do_GET(self):
        if "garbage" in self.path:
            self.wfile.write(b"\x00 this is not HTTP\r\n\r\n")
        elif "cut" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"PK\x03\x04" + bytes(50))
        else:
            super().do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve a folder; return it and a function that stops the server."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Handler, directory=str(folder))
    with serving(handler, monkeypatch) as listener:
        yield folder, listener.url, listener.stop


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the empty folder that downloads go to."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "torch_home/hub/checkpoints"


def named_by_hash(folder, content, wrong=False):
    """Save a checkpoint under a name with the first digits of its sha256."""
    torch.save(content, folder / "x.pth")
    digest = hashlib.sha256((folder / "x.pth").read_bytes()).hexdigest()[:8]
    if wrong:
        digest = digest[::-1] if digest != digest[::-1] else "0badc0de"
    return (folder / "x.pth").rename(folder / f"net-{digest}.pth").name


def cached(cache):
    return [path.name for path in cache.rglob("*") if path.is_file()]


def test_downloads_once(server, cache):
    folder, address, stop = server
    weights = {"w": torch.arange(5.0)}
    name = named_by_hash(folder, weights)
    for _ in range(2):
        loaded = CheckpointLoader.load_checkpoint(f"{address}/{name}", "cpu")
        assert torch.equal(loaded["w"], weights["w"])
        stop()
    assert cached(cache) == [name]


def test_wrong_hash_is_refused_and_not_kept(server, cache):
    folder, address, _ = server
    name = named_by_hash(folder, {"w": torch.ones(1)}, wrong=True)
    with pytest.raises(UserError, match=f"{name}.*hash") as caught:
        CheckpointLoader.load_checkpoint(f"{address}/{name}")
    assert str(cache / name) in str(caught.value)
    assert cached(cache) == []


def test_hostile_download_is_refused_unexecuted(server, cache, tmp_path):
    folder, address, _ = server
    name = named_by_hash(folder, {"state_dict": Hostile(tmp_path / "marker")})
    with pytest.raises(UnsafeCheckpointError, match="nothing in it was executed"):
        CheckpointLoader.load_checkpoint(f"{address}/{name}")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("name", "reason"), [("absent.pth", "404"), ("garbage.pth", "HTTP"), ("", "refused")]
)
def test_failed_download_says_where_to_put_the_file(server, cache, name, reason):
    _, address, stop = server
    if not name:
        stop()
        name = "net.pth"
    with pytest.raises(UserError, match=reason) as caught:
        CheckpointLoader.load_checkpoint(f"{address}/{name}")
    target = str(http_file.place(f"{address}/{name}"))
    assert target.startswith(str(cache))
    for part in (f"{address}/{name}", target, "init_cfg.checkpoint=PATH"):
        assert part in str(caught.value)
    assert cached(cache) == []


def test_connection_that_breaks_leaves_nothing_to_load_next_time(server, cache):
    folder, address, _ = server
    with pytest.raises(UserError, match="cut.pth"):
        CheckpointLoader.load_checkpoint(f"{address}/cut.pth")
    assert cached(cache) == []


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
def test_weights_by_a_name_of_mmengine_are_not_executed(
    server, cache, monkeypatch, scheme, tmp_path
):
    """mmengine's own loaders of these schemes unpickle whatever the address gives."""
    folder, address, _ = server
    weights = {"backbone.w": torch.arange(3.0)}
    torch.save({"state_dict": weights}, folder / "net.pth")
    torch.save({"state_dict": Hostile(tmp_path / "marker")}, folder / "hostile.pth")
    table = {name: f"{address}/{name}.pth" for name in ("net", "hostile")}
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
