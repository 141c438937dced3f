"""Files that are converted, in both formats, back again, and from a released file on."""

import hashlib
import importlib

import pytest
import torch
import torchvision
from hub_server import hub_files
from mmengine.runner import load_checkpoint
from mmpretrain.registry import MODELS

from gcp_mm.checkpoints.loader import load_from_file
from gcp_mm.conversion import Architecture, convert_file, model_config, restore_file
from gcp_mm.conversion.convert_file import obtain, write_checkpoint
from gcp_mm.errors import (
    CheckpointMismatchError,
    UserError,
)
from gcp_mm.version import __version__
from gcp_mm.zoo import find_row

ROW, NAME = Architecture("shufflenet_v2_x1_0", 1000), "shufflenetv2_gap_lrnorm"

__all__ = ["hub_files"]


@pytest.fixture
def source(legacy, tmp_path):
    path = tmp_path / "published.pth.tar"
    torch.save(legacy(), path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture
def library():
    return pytest.importorskip("safetensors.torch")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new folder/converted.pth"


def written(target):
    return sorted(path.name for path in target.parent.glob("*"))


def test_file_says_where_it_comes_from_and_loads_safely(source, target):
    report = convert_file(source, target)
    conversion = torch.load(target, weights_only=True)["meta"]["conversion"]
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    expected = {
        "source": "published.pth.tar",
        "sha256": digest,
        "row": None,
        "converter": f"gcp_mm {__version__}",
        "dropped": ["optimizer"],
        "verified": None,
        "epoch": 100,
    }
    assert expected.items() <= conversion.items()
    for part in (digest, "shufflenet_v2_x0_5 with covariance", "7 classes", "dropped: optimizer"):
        assert part in str(report)
    assert written(target) == ["converted.pth"]


def test_mmengine_loads_it_whole(source, target):
    convert_file(source, target)
    model = MODELS.build(model_config(Architecture("shufflenet_v2_x0_5", 7, 4)))
    load_checkpoint(model, str(target), map_location="cpu", strict=True)
    weight = torch.load(source, weights_only=True)["state_dict"]["module.fc.weight"]
    assert torch.equal(model.head.fc.weight, weight)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    ("suffix", "back"),
    [("pth", "pth.tar"), ("safetensors", "pth.tar"), ("safetensors", "safetensors")],
)
def test_way_back(source, legacy, same, tmp_path, keep, suffix, back):
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    target, back = tmp_path / f"new folder/a.{suffix}", tmp_path / f"back.{back}"
    convert_file(source, target, order="column", keep_optimizer=keep)
    report = str(restore_file(target, back))
    expected = legacy()
    if not keep:
        del expected["optimizer"]
    of_torch = back.suffix == ".tar"
    found = torch.load(back, weights_only=True) if of_torch else load_from_file(back)
    assert same(found, expected)
    assert f"not in the converted file: {'nothing' if keep else 'optimizer'}" in report
    assert "source of the weights: published.pth.tar (sha256 " in report


def test_both_formats_hold_the_same(source, same, tmp_path, library):
    for suffix in ("pth", "safetensors"):
        convert_file(source, tmp_path / f"a.{suffix}", order="column", keep_optimizer=True)
    expected = torch.load(tmp_path / "a.pth", weights_only=True)
    assert same(load_from_file(tmp_path / "a.safetensors"), expected)
    # The weights are there for every program, under mmpretrain's names.
    found = library.load_file(tmp_path / "a.safetensors")
    weights = expected["state_dict"]
    assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
    assert found.keys() - weights.keys() == {"legacy/optimizer/state/140/momentum_buffer"}


def test_without_the_optimizer_only_the_weights_are_tensors(source, tmp_path, library):
    convert_file(source, tmp_path / "a.safetensors")
    found = library.load_file(tmp_path / "a.safetensors")
    assert found.keys() == load_from_file(tmp_path / "a.safetensors")["state_dict"].keys()


def test_source_of_another_program(state_dict, tmp_path, library):
    weights = state_dict()
    library.save_file(weights, tmp_path / "a.safetensors")
    torch.save(weights, tmp_path / "a.pth")
    for suffix in ("pth", "safetensors"):
        convert_file(tmp_path / f"a.{suffix}", tmp_path / f"b_{suffix}.pth")
    of_pth, of_safetensors = (
        torch.load(tmp_path / f"b_{suffix}.pth", weights_only=True)["state_dict"]
        for suffix in ("pth", "safetensors")
    )
    assert of_pth.keys() == of_safetensors.keys()
    assert all(torch.equal(of_safetensors[name], tensor) for name, tensor in of_pth.items())
    restore_file(tmp_path / "b_safetensors.pth", tmp_path / "c.safetensors")
    back = library.load_file(tmp_path / "c.safetensors")
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in weights.items())


def test_parameters_of_old_files(state_dict, same, tmp_path, library):
    weights = {
        name: torch.nn.Parameter(tensor) if name.endswith("weight") else tensor
        for name, tensor in state_dict().items()
    }
    torch.save(weights, tmp_path / "a.pth")
    convert_file(tmp_path / "a.pth", tmp_path / "b.safetensors")
    restore_file(tmp_path / "b.safetensors", tmp_path / "c.pth")
    assert same(torch.load(tmp_path / "c.pth", weights_only=True), weights)


@pytest.mark.slow
def test_row_is_checked_and_recorded(state_dict, tmp_path, target):
    torch.save(state_dict(ROW), tmp_path / "a.pth")
    for row in ("shufflenetv2_gcp_lrnorm", "shufflenetv2"):
        with pytest.raises(CheckpointMismatchError, match=f"{row}: .*average.*shufflenetv2_gap_lr"):
            convert_file(tmp_path / "a.pth", target, row=row)
    assert written(target) == []
    assert "row: not named (--row with one of" in str(
        convert_file(tmp_path / "a.pth", target, dry_run=True)
    )
    convert_file(tmp_path / "a.pth", target, row="shufflenetv2_gap_lradju")
    meta = torch.load(target, weights_only=True)["meta"]
    assert meta["conversion"]["row"] == "shufflenetv2_gap_lradju"


def test_verified_difference_is_recorded(source, target, photos):
    report = convert_file(source, target, images=photos)
    verified = torch.load(target, weights_only=True)["meta"]["conversion"]["verified"]
    assert 0 <= verified < 1e-9
    assert str(report).count("verified: ") == 3


def test_failed_verification_writes_nothing(source, target, photos, monkeypatch):
    from gcp_mm.conversion.conversion import Conversion

    build = Conversion.__init__

    def swap(self, *arguments):
        """Exchange two channels of one tensor, as a wrong rule would exchange two tensors."""
        build(self, *arguments)
        self.state_dict["neck.reduce.bn.bias"] = self.state_dict["neck.reduce.bn.bias"].flip(0)

    monkeypatch.setattr(Conversion, "__init__", swap)
    with pytest.raises(CheckpointMismatchError, match="differ by more than 1e-09.*RGB.png"):
        convert_file(source, target, images=photos)
    assert written(target) == []


def test_not_a_number_does_not_pass_verification(legacy, tmp_path, target, photos):
    content = legacy()
    content["state_dict"]["module.fc.bias"][0] = torch.nan
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointMismatchError, match="difference nan"):
        convert_file(tmp_path / "a.pth", target, images=photos, allow_non_finite=True)
    report = convert_file(tmp_path / "a.pth", target, allow_non_finite=True)
    assert "warning: NaN or infinity in fc.bias" in str(report)


@pytest.mark.parametrize("order", ["known", "row", "column"])
def test_order_of_a_file_of_fast_mpn_cov(legacy, tmp_path, monkeypatch, order):
    source, target = tmp_path / "mpncovresnet50-15991845.pth", tmp_path / "a.pth"
    torch.save(legacy()["state_dict"], source)
    with pytest.raises(UserError, match=r"'mpncovresnet50-15991845.pth'.*--order row\|column"):
        convert_file(source, target)
    assert not target.exists()
    if order == "known":
        module = importlib.import_module("gcp_mm.conversion.convert_file")
        monkeypatch.setattr(module, "sha256", lambda path: "15991845" + "0" * 56)
    expected = "column" if order == "known" else order
    report = str(convert_file(source, target, order=None if order == "known" else order))
    content = torch.load(target, weights_only=True)
    assert content["meta"]["conversion"]["triangle_order"] == expected
    trained = torch.load(source, weights_only=True)["module.fc.weight"]
    # d = 4: element 02 is number 2 by rows and number 3 by columns.
    column = 3 if expected == "column" else 2
    assert torch.equal(content["state_dict"]["head.fc.weight"][:, 2], trained[:, column])
    assert f"triangle order {expected}" in report
    assert ("issues/20" in report) == (order == "known")


def test_dry_run_writes_nothing(source, target):
    assert f"dry run: {target} was not written" in str(convert_file(source, target, dry_run=True))
    assert not target.parent.exists()


@pytest.mark.parametrize("function", [convert_file, restore_file])
def test_destination_is_protected(source, tmp_path, function):
    with pytest.raises(UserError, match="source and destination are the same file"):
        function(source, tmp_path / "." / source.name, force=True)
    (tmp_path / "old.pth").write_text("old")
    with pytest.raises(UserError, match="old.pth' exists; --force replaces it"):
        function(source, tmp_path / "old.pth")
    with pytest.raises(UserError, match="is a folder"):
        function(source, tmp_path, force=True)
    with pytest.raises(UserError, match="'hf://owner/net/a.safetensors' is an address"):
        function(source, "hf://owner/net/a.safetensors")
    assert (tmp_path / "old.pth").read_text() == "old"
    assert source.stat().st_size > 10_000


@pytest.mark.parametrize("function", [convert_file, restore_file])
def test_links_that_lead_nowhere_or_to_the_source(source, tmp_path, function):
    (tmp_path / "loop.pth").symlink_to("loop.pth")
    with pytest.raises(UserError, match="loop.pth' is a loop of links"):
        function(tmp_path / "loop.pth", tmp_path / "new.pth")
    (tmp_path / "soft.pth").symlink_to(source)
    (tmp_path / "hard.pth").hardlink_to(source)
    for name in ("soft.pth", "hard.pth"):
        with pytest.raises(UserError, match=f"are the same file: .*{name}"):
            function(source, tmp_path / name, force=True)


def test_force_replaces(source, tmp_path):
    (tmp_path / "old.pth").write_text("old")
    convert_file(source, tmp_path / "old.pth", force=True)
    assert "state_dict" in torch.load(tmp_path / "old.pth", weights_only=True)


@pytest.fixture
def full_disk(monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)


def test_failed_write_leaves_nothing(source, target, full_disk):
    with pytest.raises(UserError, match="converted.pth' cannot be written: No space left"):
        convert_file(source, target)
    assert written(target) == []


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_failed_write_leaves_the_old_file(tmp_path, name, full_disk):
    path = tmp_path / name
    path.write_text("old")
    with pytest.raises(UserError, match=f"{name}' cannot be written: No space left"):
        write_checkpoint({"state_dict": {"w": torch.ones(2)}}, path)
    assert path.read_text() == "old"
    assert written(path) == [name]


def test_refused_source_leaves_nothing(source, target):
    content = torch.load(source, weights_only=True)
    content["state_dict"]["module.surprise"] = torch.ones(1)
    torch.save(content, source)
    with pytest.raises(UserError, match="only in the file: surprise"):
        convert_file(source, target)
    assert written(target) == []


@pytest.mark.parametrize("zip_format", [True, False])
def test_both_formats_of_torch(legacy, same, tmp_path, zip_format):
    path = tmp_path / "a.pth.tar"
    torch.save(legacy(), path, _use_new_zipfile_serialization=zip_format)
    assert same(load_from_file(path), legacy())


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
    report = obtain(find_row(NAME), url=f"{server.url}/x", retries=0)
    digest = hashlib.sha256(released.read_bytes()).hexdigest()
    assert f"sha256: {digest} (no sha256 of it had been recorded" in report
    target = folder / f"checkpoints/{NAME}.pth"
    weights = torch.load(target, weights_only=True)["state_dict"]
    assert torch.equal(weights["head.fc.weight"], network.fc.weight)
    assert [path.name for path in folder.rglob("*.*")] == [target.name]
    time = target.stat().st_mtime_ns
    assert "exists already" in obtain(find_row(NAME), url=f"{server.url}/gone")
    assert target.stat().st_mtime_ns == time


def test_file_fetched_by_hand_goes_where_asked(released, folder):
    report = obtain(find_row(NAME), out="here.pth", from_file=released)
    assert str(released) in report
    assert torch.load(folder / "here.pth", weights_only=True)["meta"]["conversion"]["row"] == NAME
    with pytest.raises(UserError, match="'here.pth' exists: remove it, or name another"):
        obtain(find_row(NAME), out="here.pth", from_file=released)


@pytest.mark.parametrize("from_file", [None, "anything.pth"])
def test_folder_in_place_of_a_file_is_not_to_be_removed(folder, from_file):
    with pytest.raises(UserError, match="work' is a folder; name a file in it"):
        obtain(find_row(NAME), out=folder, from_file=from_file)


def test_recorded_digest_is_said(released, small_row, folder):
    digest = hashlib.sha256(released.read_bytes()).hexdigest()
    row = small_row(NAME, sha256=digest, size=released.stat().st_size)
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


def test_obtained_as_safetensors(released, network, folder, library):
    obtain(find_row(NAME), out="here.safetensors", from_file=released)
    weights = library.load_file(folder / "here.safetensors")
    assert torch.equal(weights["head.fc.weight"], network.fc.weight)


def test_released_file_lies_in_the_hub(released, network, hub_files, folder):
    hub_files.files["owner/mirror/model_best.pth.tar"] = released.read_bytes()
    address = "hf://owner/mirror/model_best.pth.tar"
    with pytest.raises(UserError, match=f"--from-file {address} fetches from the hub"):
        obtain(find_row(NAME), url=address)
    obtain(find_row(NAME), out="here.pth", from_file=address)
    weights = torch.load(folder / "here.pth", weights_only=True)["state_dict"]
    assert torch.equal(weights["head.fc.weight"], network.fc.weight)
