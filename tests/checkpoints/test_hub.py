"""``hf://`` addresses, against a server on this machine."""

import io
import subprocess
import sys
import time

import pytest
import torch
from hub_server import COMMIT, hub_files
from mmengine.runner.checkpoint import CheckpointLoader
from tiny_runs import Hostile

import gcp_mm.registry  # noqa: F401  (installs the checkpoint loaders)
from gcp_mm.checkpoints import hub
from gcp_mm.errors import CheckpointNotFoundError, UnsafeCheckpointError, UserError

WEIGHTS = {"backbone.w": torch.arange(6.0).reshape(2, 3), "head.fc.bias": torch.tensor([1.5, -2])}
ADDRESS = "hf://owner/net/folder/model.safetensors"
__all__ = ["hub_files"]


def pickled(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.fixture
def server(hub_files):
    """Serve two repositories."""
    safetensors = pytest.importorskip("safetensors.torch")
    hub_files.files["owner/net/folder/model.safetensors"] = safetensors.save(WEIGHTS)
    hub_files.files["owner/net/epoch_1.pth"] = pickled({"state_dict": WEIGHTS})
    hub_files.files["owner/gated/model.safetensors"] = b""
    return hub_files


@pytest.fixture
def impatient(monkeypatch):
    """Let waiting between two tries take no time; how often it tries stays as it is."""
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def load(address):
    return CheckpointLoader.load_checkpoint(address, "cpu")


def methods(server):
    """How the file was asked for; huggingface_hub may ask for other things besides."""
    return [method for method, path, _ in server.requests if "/resolve/" in path]


def refused(address, kind=UserError):
    with pytest.raises(kind) as caught:
        load(address)
    assert len(str(caught.value).splitlines()) == 1
    assert address in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("hf://a/b/c.pth", ("a/b", "c.pth", None)),
        ("hf://a-1/b.c_d/e/f g.safetensors", ("a-1/b.c_d", "e/f g.safetensors", None)),
        ("hf://a/b@v1.0/c/d.pth", ("a/b", "c/d.pth", "v1.0")),
        ("hf://a/b@refs/pr/12/c.pth", ("a/b", "c.pth", "refs/pr/12")),
        ("hf://a/b/c@d.pth", ("a/b", "c@d.pth", None)),
    ],
)
def test_parts(address, parts):
    assert hub.parse(address) == hub.Address(*parts)
    assert str(hub.parse(address)) == address


@pytest.mark.parametrize(
    "address",
    [
        "hf://",
        "hf://net/model.safetensors",
        "hf://owner/net",
        "hf://owner/net/",
        "hf://owner/net//etc/passwd",
        "hf:///etc/passwd",
        "hf://owner/net/../other/x.pth",
        "hf://owner/net/a/./x.pth",
        "hf://owner/net/a/..",
        "hf://owner/net/a\\..\\x.pth",
        "hf://owner/net/x\n.pth",
        "hf://../net/x.pth",
        "hf://owner/../x.pth",
        "hf://owner/a..b/x.pth",
        "hf://owner/a--b/x.pth",
        "hf://owner/net@../x.pth",
        "hf://owner/net@/x.pth",
        "hf://owner/net@refs/pr/../x.pth",
    ],
)
def test_malformed_address_asks_nobody(server, address):
    with pytest.raises(UserError, match="write hf://OWNER/NAME/FILE") as caught:
        load(address)
    assert repr(address) in str(caught.value)
    assert server.requests == []
    assert not server.cache.exists()


@pytest.mark.parametrize("address", [ADDRESS, ADDRESS.replace("net", "net@v1", 1)])
def test_fetched_once_and_cached(server, address):
    for _ in range(2):
        loaded = load(address)
        assert loaded.keys() == WEIGHTS.keys()
        assert all(torch.equal(loaded[name], WEIGHTS[name]) for name in WEIGHTS)
    assert methods(server) == ["HEAD", "GET", "HEAD"]
    asked = f"/owner/net/resolve/{'v1' if '@' in address else 'main'}/folder/model.safetensors"
    assert asked in [path for _, path, _ in server.requests]
    path = hub.download(address)
    assert path.is_relative_to(server.cache)
    assert path.parts[-3:] == (COMMIT, "folder", "model.safetensors")


def test_cache_serves_without_the_server(server, impatient):
    load(ADDRESS)
    server.stop()
    assert torch.equal(load(ADDRESS)["backbone.w"], WEIGHTS["backbone.w"])


def test_pickle_goes_through_the_safe_loader(server, tmp_path):
    loaded = load("hf://owner/net/epoch_1.pth")
    assert torch.equal(loaded["state_dict"]["backbone.w"], WEIGHTS["backbone.w"])
    server.files["owner/net/bad.pth"] = pickled({"state_dict": Hostile(tmp_path / "marker")})
    with pytest.raises(UnsafeCheckpointError, match="nothing in it was executed"):
        load("hf://owner/net/bad.pth")
    assert not (tmp_path / "marker").exists()


def test_not_there(server):
    for address, what in (
        ("hf://owner/net/x.pth", "owner/net has no file 'x.pth' in revision 'main'"),
        ("hf://owner/net@v2/x.pth", "owner/net has no revision 'v2'"),
        (
            "hf://owner/nothing/x.pth",
            "no repository owner/nothing, or it is private.*hf auth login",
        ),
    ):
        message = refused(address, CheckpointNotFoundError)
        assert server.url in message
        with pytest.raises(CheckpointNotFoundError, match=what):
            load(address)
    assert not list(server.cache.glob("*/blobs/*"))


def test_restricted(server):
    message = refused("hf://owner/gated/model.safetensors")
    assert f"accept its conditions at {server.url}/owner/gated" in message
    assert "HF_TOKEN" in message
    server.status = 401
    assert "the server refuses access (HTTP 401): log in" in refused(ADDRESS)


def test_server_in_trouble(server, impatient):
    server.status = 503
    message = refused(ADDRESS)
    assert "503" in message
    assert "give its path" in message


def test_wrong_digest_is_not_kept(server):
    server.digest = "0" * 64
    message = refused(ADDRESS)
    assert f"the hub's file {'0' * 64}; it was not kept" in message
    assert not list(server.cache.glob("*/blobs/*"))
    assert not list(server.cache.rglob("*.safetensors"))
    server.digest = None
    assert torch.equal(load(ADDRESS)["backbone.w"], WEIGHTS["backbone.w"])


def test_body_that_breaks_off_is_not_a_checkpoint(server, impatient):
    server.missing = 30
    assert "could not be downloaded" in refused(ADDRESS)
    assert not list(server.cache.rglob("*.safetensors"))
    server.missing = 0
    assert torch.equal(load(ADDRESS)["backbone.w"], WEIGHTS["backbone.w"])


def test_full_disk(server, monkeypatch):
    import huggingface_hub

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    message = refused(ADDRESS)
    assert f"cannot be written to the cache {server.cache} (HF_HUB_CACHE): No space" in message
    assert message.endswith("free some space and start again")


def test_nobody_answers(server, impatient):
    server.stop()
    message = refused(ADDRESS)
    assert server.url in message
    assert "check the connection, HF_ENDPOINT and the proxy" in message
    # It gives up: huggingface_hub waits between a few tries.
    assert sum(impatient) < 60


def test_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    message = refused(ADDRESS)
    assert "pip install huggingface_hub" in message
    assert "https://huggingface.co/owner/net" in message


def environment(server, tool_env, **more):
    """Environment of a process that asks this server, as a user sets it."""
    hidden = {k: v for k, v in tool_env.items() if not k.startswith("HF_")}
    return {**hidden, "HF_ENDPOINT": server.url, "HF_HUB_CACHE": str(server.cache), **more}


SCRIPT = """
import sys
from gcp_mm.checkpoints.hub import download
from gcp_mm.errors import UserError
try:
    print(download(sys.argv[1]).stat().st_size)
except UserError as error:
    print("error:", error)
assert "torch" not in sys.modules
"""


def start(server, tool_env, **more):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, ADDRESS],
        env=environment(server, tool_env, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_environment_counts_and_one_of_two_processes_downloads(server, tool_env):
    output, errors = start(server, tool_env, HF_HUB_OFFLINE="1").communicate()
    assert "HF_HUB_OFFLINE forbids to fetch it" in output, errors
    assert str(server.cache) in output
    assert server.requests == []
    server.delay = 1
    processes = [start(server, tool_env, HF_TOKEN="hf_secret") for _ in range(2)]
    size = str(len(server.files["owner/net/folder/model.safetensors"]))
    for process in processes:
        output, errors = process.communicate()
        assert output.strip() == size, errors
        assert "hf_secret" not in output + errors
    assert sorted(methods(server)) == ["GET", "HEAD", "HEAD"]
    tokens = {token for _, path, token in server.requests if "/resolve/" in path}
    assert tokens == {"Bearer hf_secret"}
    server.stop()
    output, errors = start(server, tool_env, HF_HUB_OFFLINE="1").communicate()
    assert output.strip() == size, errors
