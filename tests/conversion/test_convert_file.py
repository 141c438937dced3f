import hashlib

import pytest
import torch
from mmengine.runner import load_checkpoint
from mmpretrain.registry import MODELS
from tiny_runs import Hostile

from gcp_mm.conversion import Architecture, convert_file, model_config, restore_file
from gcp_mm.conversion.convert_file import read_source
from gcp_mm.errors import (
    CheckpointMismatchError,
    CheckpointNotFoundError,
    UnsafeCheckpointError,
    UserError,
)
from gcp_mm.files import sha256
from gcp_mm.version import __version__

ROW = Architecture("shufflenet_v2_x1_0", 1000)


@pytest.fixture
def source(legacy, tmp_path):
    path = tmp_path / "published.pth.tar"
    torch.save(legacy(), path, _use_new_zipfile_serialization=False)
    return path


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
def test_way_back(source, target, legacy, same, tmp_path, keep):
    convert_file(source, target, order="column", keep_optimizer=keep)
    report = restore_file(target, tmp_path / "back.pth.tar")
    expected = legacy()
    if not keep:
        del expected["optimizer"]
    assert same(torch.load(tmp_path / "back.pth.tar", weights_only=True), expected)
    assert f"not in the converted file: {'nothing' if keep else 'optimizer'}" in str(report)


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
    assert (tmp_path / "old.pth").read_text() == "old"
    assert source.stat().st_size > 10_000


def test_force_replaces(source, tmp_path):
    (tmp_path / "old.pth").write_text("old")
    convert_file(source, tmp_path / "old.pth", force=True)
    assert "state_dict" in torch.load(tmp_path / "old.pth", weights_only=True)


def test_failed_write_leaves_nothing(source, target, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(UserError, match="converted.pth' cannot be written: No space left"):
        convert_file(source, target)
    assert written(target) == []


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
    assert same(read_source(path), legacy())


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Google Drive", b"\r\n <HTML><head>"])
def test_saved_web_page(tmp_path, page):
    path = tmp_path / "a.pth.tar"
    path.write_bytes(page + bytes(1000))
    with pytest.raises(UserError, match="a.pth.tar' is a web page.*Google Drive"):
        read_source(path)


def test_truncated_file(legacy, tmp_path):
    path = tmp_path / "a.pth.tar"
    torch.save(legacy(), path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"a.pth.tar' \(5000 bytes\) cannot be read"):
        read_source(path)


@pytest.mark.parametrize("zip_format", [True, False])
def test_hostile_file_is_refused_unexecuted(tmp_path, zip_format):
    content = {"state_dict": {"w": torch.ones(1)}, "optimizer": Hostile(tmp_path / "marker")}
    path = tmp_path / "a.pth.tar"
    torch.save(content, path, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(UnsafeCheckpointError, match="nothing in it was executed"):
        read_source(path)
    assert not (tmp_path / "marker").exists()


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="a.pth.tar' does not exist"):
        read_source(tmp_path / "a.pth.tar")


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
