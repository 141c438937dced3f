"""From a released file to weights."""

import hashlib

import pytest
import torch
from hub_server import hub_files

from gcp_mm.conversion.convert_file import obtain
from gcp_mm.errors import UserError
from gcp_mm.zoo import find_row

pytest.importorskip("mmengine")
torchvision = pytest.importorskip("torchvision")

__all__ = ["hub_files"]

ROW = "shufflenetv2_gap_lrnorm"


@pytest.fixture(scope="module")
def network():
    return torchvision.models.shufflenet_v2_x1_0().eval()


@pytest.fixture(scope="module")
def released(network, tmp_path_factory):
    """Write a file like those of the authors' scripts."""
    path = tmp_path_factory.mktemp("released") / "model_best.pth.tar"
    state_dict = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save(dict(epoch=240, arch="shufflenet_v2_x1_0", state_dict=state_dict), path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch, cache):
    """Work in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_download_is_converted_once(released, network, server, folder):
    server.files["/x"] = released.read_bytes()
    report = obtain(find_row(ROW), url=f"{server.url}/x", retries=0)
    digest = hashlib.sha256(released.read_bytes()).hexdigest()
    assert f"sha256: {digest} (no sha256 of it had been recorded" in report
    target = folder / f"checkpoints/{ROW}.pth"
    weights = torch.load(target, weights_only=True)["state_dict"]
    assert torch.equal(weights["head.fc.weight"], network.fc.weight)
    assert [path.name for path in folder.rglob("*.*")] == [target.name]
    time = target.stat().st_mtime_ns
    assert "exists already" in obtain(find_row(ROW), url=f"{server.url}/gone")
    assert target.stat().st_mtime_ns == time


def test_file_fetched_by_hand_goes_where_asked(released, folder):
    report = obtain(find_row(ROW), out="here.pth", from_file=released)
    assert str(released) in report
    assert torch.load(folder / "here.pth", weights_only=True)["meta"]["conversion"]["row"] == ROW
    with pytest.raises(UserError, match="'here.pth' exists: remove it, or name another"):
        obtain(find_row(ROW), out="here.pth", from_file=released)


def test_recorded_digest_is_said(released, small_row, folder):
    digest = hashlib.sha256(released.read_bytes()).hexdigest()
    row = small_row(ROW, sha256=digest, size=released.stat().st_size)
    assert f"sha256: {digest} (as recorded)" in obtain(row, from_file=released)


def test_file_of_another_row_is_refused(released, small_row, folder):
    with pytest.raises(UserError, match="resnet18_gap_lrnorm.*shufflenet_v2_x1_0"):
        obtain(small_row("resnet18_gap_lrnorm"), from_file=released)
    assert list(folder.iterdir()) == []


def test_detector_is_fetched_and_said_to_be_old(server, small_row, content, folder, cache):
    server.files["/x"] = content
    report = obtain(small_row("mask_rcnn_r50_gcpm"), url=f"{server.url}/x", retries=0)
    assert str(cache / "checkpoints/mask_rcnn_r50_gcpm/released.pth.tar") in report
    assert "mmdet v1.x: mmdet 3 cannot load it" in report
    assert list(folder.iterdir()) == []


def test_detector_is_not_converted(folder):
    with pytest.raises(UserError, match="--out .* mask_rcnn_r50_gcpm is not converted"):
        obtain(find_row("mask_rcnn_r50_gcpm"), out="x.pth")


@pytest.mark.parametrize("from_file", [None, "anything.pth"])
def test_row_without_a_file(folder, from_file):
    with pytest.raises(UserError, match="released no file for mask_rcnn_r101_gap"):
        obtain(find_row("mask_rcnn_r101_gap"), from_file=from_file)


def test_written_as_safetensors(released, network, folder):
    library = pytest.importorskip("safetensors.torch")
    obtain(find_row(ROW), out="here.safetensors", from_file=released)
    weights = library.load_file(folder / "here.safetensors")
    assert torch.equal(weights["head.fc.weight"], network.fc.weight)


def test_released_file_lies_in_the_hub(released, network, hub_files, folder):
    hub_files.files["owner/mirror/model_best.pth.tar"] = released.read_bytes()
    address = "hf://owner/mirror/model_best.pth.tar"
    with pytest.raises(UserError, match=f"--from-file {address} fetches from the hub"):
        obtain(find_row(ROW), url=address)
    obtain(find_row(ROW), out="here.pth", from_file=address)
    weights = torch.load(folder / "here.pth", weights_only=True)["state_dict"]
    assert torch.equal(weights["head.fc.weight"], network.fc.weight)
