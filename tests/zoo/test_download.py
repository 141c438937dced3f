"""Downloads from a server that fails in many ways, and files that cannot be the released ones."""

import hashlib
import re
import sys

import pytest
import torch

from gcp_mm.errors import CheckpointMismatchError, CheckpointNotFoundError, UserError
from gcp_mm.zoo import download as transfer
from gcp_mm.zoo import find_row
from gcp_mm.zoo.download import check_released_file, download_released

pytest.importorskip("mmengine")

BAIDU = ("https://pan.baidu.com/s/1gZ6_KMqfUBAjq913zKOPkw", "extraction code e7iy")
MEBIBYTE = 1 << 20
BY_HAND = "download resnet50_gcp_lrnorm --from-file PATH"


def kept(cache):
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.name != ".lock")


def test_downloads_once(server, cache, small_row, content):
    server.files["/x"] = content
    path = download_released(small_row(), f"{server.url}/x", retries=0)
    assert path == cache / "checkpoints/resnet50_gcp_lrnorm/released.pth.tar"
    assert path.read_bytes() == content
    del server.files["/x"]
    assert download_released(small_row(), f"{server.url}/x", retries=0) == path
    assert server.ranges == [None]
    assert kept(cache) == ["released.pth.tar"]


def test_rows_do_not_share_a_file(server, cache, small_row, content):
    server.files.update({"/wide": content, "/narrow": content + b"narrow"})
    wide = download_released(small_row(), f"{server.url}/wide", retries=0)
    row = small_row("resnet50_gcp_lrnorm_128")
    narrow = download_released(row, f"{server.url}/narrow", retries=0)
    assert (wide.read_bytes(), narrow.read_bytes()) == (content, content + b"narrow")


@pytest.fixture
def cut(server, content):
    """Serve a file whose first transfer breaks off; gdown keeps whole pieces of 512 KiB."""
    server.files["/x"] = content * 200
    server.cuts.append(MEBIBYTE + 1)
    return server.files["/x"]


def test_next_call_continues_where_the_connection_broke(server, cache, small_row, cut):
    with pytest.raises(UserError, match="1048576 bytes are kept .*run the command") as info:
        download_released(small_row(), f"{server.url}/x", retries=0)
    assert "--continue" not in str(info.value)
    assert all(part in str(info.value) for part in BAIDU)
    assert [name.rpartition(".")[2] for name in kept(cache)] == ["json", "part"]
    path = download_released(small_row(), f"{server.url}/x", retries=0)
    assert path.read_bytes() == cut
    assert server.ranges[-1] == f"bytes={MEBIBYTE}-"
    assert kept(cache) == ["released.pth.tar"]


def test_reconnects_by_itself(server, cache, small_row, cut):
    path = download_released(small_row(), f"{server.url}/x", retries=1)
    assert path.read_bytes() == cut
    assert server.ranges == [None, f"bytes={MEBIBYTE}-"]


@pytest.mark.parametrize(
    ("body", "release", "reason"),
    [
        (b"<!DOCTYPE html>" + bytes(9000), {}, "web page"),
        (b"PK\x03\x04" + bytes(9000), dict(size=9000), "9004 bytes"),
        (b"PK\x03\x04" + bytes(3000), {}, "3004 bytes"),
        (b"PK\x03\x04" + bytes(9000), dict(sha256="1" * 64), "sha256"),
    ],
    ids=["web page", "size", "too small", "sha256"],
)
def test_what_is_not_the_file_is_not_kept(server, cache, small_row, body, release, reason):
    server.files["/x"] = body
    with pytest.raises(UserError, match=f"{reason}.*was not kept") as caught:
        download_released(small_row(**release), f"{server.url}/x", retries=0)
    assert all(part in str(caught.value) for part in (*BAIDU, BY_HAND))
    assert kept(cache) == []


@pytest.mark.parametrize(
    ("address", "reason"), [("{}/absent", "404"), ("http://127.0.0.1:1/x", "refused")]
)
def test_failure_names_the_other_way(server, cache, small_row, address, reason):
    address = address.format(server.url)
    with pytest.raises(UserError, match=f"download resnet50_gcp_lrnorm from.*{reason}") as info:
        download_released(small_row(), address, retries=0)
    assert all(part in str(info.value) for part in (address, *BAIDU, BY_HAND))
    assert "are kept" not in str(info.value)


def test_file_without_a_mirror_is_fetched_by_hand_from_its_own_place(cache, small_row):
    row = small_row("resnet50_dropcov_lrnorm_128")
    with pytest.raises(UserError, match="download resnet50_dropcov_lrnorm_128 from") as info:
        download_released(row, "http://127.0.0.1:1/x", retries=0)
    assert f"{row.release.url} opens in a browser as well: fetch it" in str(info.value)
    assert "baidu" not in str(info.value) and "None" not in str(info.value)


def test_google_drive_is_asked_by_default(cache, small_row, monkeypatch):
    import gdown

    calls = {}

    def download(**arguments):
        calls.update(arguments)
        raise gdown.FileURLRetrievalError("Too many users\n\nhave viewed this file.")

    monkeypatch.setattr(gdown, "download", download)
    with pytest.raises(UserError, match="Too many users have viewed this file. The same file is"):
        download_released(small_row())
    assert calls["url"] == "https://drive.google.com/open?id=1TmnusKSArjKTTb28cnw2OzrUVc_DAi98"
    assert calls["resume"] is True


def test_missing_gdown_is_named(cache, small_row, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(UserError, match=r"pip install 'gdown>=6.5'") as caught:
        download_released(small_row())
    assert BY_HAND in str(caught.value)


def test_row_without_a_file(cache):
    with pytest.raises(UserError, match="released no file for mask_rcnn_r101_gap"):
        download_released(find_row("mask_rcnn_r101_gap"))


def test_cache_that_is_no_folder(cache, small_row):
    cache.write_text("")
    with pytest.raises(UserError, match=f"cannot write below '{cache}"):
        download_released(small_row())


def other(content):
    """Return a file of the same size."""
    return content[:2] + content[2:][::-1]


@pytest.mark.parametrize("versions", [("etag",), ("date",), ()])
def test_file_that_changed_meanwhile_is_not_mixed(server, cache, small_row, cut, versions):
    server.versions = versions
    with pytest.raises(UserError, match="could not download"):
        download_released(small_row(), f"{server.url}/x", retries=0)
    server.files["/x"] = other(cut)
    server.date += 60
    path = download_released(small_row(), f"{server.url}/x", retries=0)
    assert path.read_bytes() == other(cut)
    assert server.ranges == [None, None]


def test_without_a_version_nothing_is_kept(server, cache, small_row, cut):
    server.versions = ()
    with pytest.raises(UserError, match="could not download") as caught:
        download_released(small_row(), f"{server.url}/x", retries=0)
    assert "are kept" not in str(caught.value)
    assert kept(cache) == []


def test_recorded_digest_is_version_enough(server, cache, small_row, cut):
    server.versions = ()
    row = small_row(sha256=hashlib.sha256(cut).hexdigest())
    with pytest.raises(UserError, match="1048576 bytes are kept"):
        download_released(row, f"{server.url}/x", retries=0)
    assert download_released(row, f"{server.url}/x", retries=0).read_bytes() == cut
    assert server.ranges[-1] == f"bytes={MEBIBYTE}-"


@pytest.mark.parametrize("retries", [0, 2])
def test_server_that_ignores_ranges_is_asked_from_the_beginning(
    server, cache, small_row, cut, retries, monkeypatch
):
    monkeypatch.setattr("random.uniform", lambda low, high: 0)
    server.takes_ranges = False
    if not retries:
        with pytest.raises(UserError, match="could not download"):
            download_released(small_row(), f"{server.url}/x", retries=0)
    path = download_released(small_row(), f"{server.url}/x", retries=retries)
    assert path.read_bytes() == cut
    assert kept(cache) == ["released.pth.tar"]


def test_server_that_always_breaks_off_and_ignores_ranges_comes_to_an_end(
    server, cache, small_row, cut, monkeypatch
):
    monkeypatch.setattr("random.uniform", lambda low, high: 0)
    server.takes_ranges = False
    server.cuts += [MEBIBYTE] * 50
    with pytest.raises(UserError, match="could not download"):
        download_released(small_row(), f"{server.url}/x", retries=2)


def test_slow_server_is_given_up(server, cache, small_row, cut, monkeypatch):
    monkeypatch.setattr(transfer, "PATIENCE", 0.4)
    server.slow = True
    with pytest.raises(UserError, match=r"the server is too slow: less than 512 KiB in 0 seconds"):
        download_released(small_row(), f"{server.url}/x", retries=5)


def test_damaged_archive_is_not_kept(server, cache, small_row, tmp_path):
    torch.save({"w": torch.arange(5000.0)}, tmp_path / "x.pth")
    body = bytearray((tmp_path / "x.pth").read_bytes())
    body[9000] ^= 1
    server.files["/x"] = bytes(body)
    with pytest.raises(UserError, match=r"data/0 in it does not have its checksum.*was not kept"):
        download_released(small_row(), f"{server.url}/x", retries=0)
    assert kept(cache) == []


def test_download_shows_bytes_and_the_time_left(server, cache, small_row, content, capsys):
    """The bar is gdown's own."""
    server.files["/x"] = content * 200
    download_released(small_row(), f"{server.url}/x", retries=0)
    states = capsys.readouterr().err.split("\r")
    # Megabytes of megabytes, time passed < time left, rate.
    assert re.search(r"100%.* 2\.05M/2\.05M \[\d\d:\d\d<\d\d:\d\d, +[\d.]+[kMG]?B/s\]", states[-1])


@pytest.fixture
def file(tmp_path, content):
    path = tmp_path / "file.pth.tar"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("zip_format", [True, False])
def test_both_formats_of_torch_pass(small_row, file, zip_format):
    weights = {"w": torch.arange(2000.0)}
    torch.save(weights, file, _use_new_zipfile_serialization=zip_format)
    digest, size = hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size
    assert check_released_file(small_row(), file) == digest
    assert check_released_file(small_row(sha256=digest, size=size), file) == digest


@pytest.mark.parametrize(
    "page", [b"<!DOCTYPE html><html>", b"\xef\xbb\xbf\n  <html>", b"<html><head><title>Quota"]
)
def test_web_page(small_row, file, content, page):
    file.write_bytes(page + content)
    with pytest.raises(CheckpointMismatchError, match=f"{file} .*is a web page.*quota"):
        check_released_file(small_row(), file)


def test_something_else(small_row, file, content):
    file.write_bytes(b"GIF89a" + content)
    with pytest.raises(CheckpointMismatchError, match=f"{file} .*not a PyTorch checkpoint"):
        check_released_file(small_row(), file)


@pytest.mark.parametrize(
    ("parameters", "release", "reason"),
    [
        (1000, dict(size=10_243), "has 10244 bytes; that of resnet50_gcp_lrnorm has 10243"),
        (2562, {}, "10244 bytes; the 2562 parameters of resnet50_gcp_lrnorm alone take 10248"),
        (1000, dict(sha256="0" * 64), f"that of resnet50_gcp_lrnorm is {'0' * 64}"),
    ],
)
def test_size_and_digest(small_row, file, parameters, release, reason):
    with pytest.raises(CheckpointMismatchError, match=reason) as caught:
        check_released_file(small_row(parameters=parameters, **release), file)
    assert str(file) in str(caught.value)
    check_released_file(small_row(parameters=2561), file)


def test_absent(small_row, tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="gone.pth"):
        check_released_file(small_row(), tmp_path / "gone.pth")
