"""Which file an address stands for, and what a bad server can do."""

import errno
import hashlib
import json
import os

import pytest
import torch
from local_server import FileHandler
from mmengine.runner.checkpoint import CheckpointLoader

import gcp_mm.registry  # noqa: F401  (installs the checkpoint loaders)
from gcp_mm.checkpoints import http_file
from gcp_mm.errors import UserError
from gcp_mm.files import sha256


@pytest.fixture
def said(monkeypatch):
    """Collect what is logged."""
    lines = []
    monkeypatch.setattr(http_file, "log", lines.append)
    return lines


def checkpoint(tmp_path, number):
    path = tmp_path / "made.pth"
    torch.save({"w": torch.full((100,), float(number))}, path)
    return path.read_bytes()


def load(server, address):
    return CheckpointLoader.load_checkpoint(server.url + address, "cpu")["w"][0].item()


def test_files_of_the_same_name_are_not_mixed_up(server, tmp_path):
    addresses = ["/run1/epoch_1.pth", "/run2/epoch_1.pth", "/get.pth?id=1", "/get.pth?id=2"]
    for number, address in enumerate(addresses):
        server.files[address] = checkpoint(tmp_path, number)
    for _ in range(2):
        assert [load(server, address) for address in addresses] == [0, 1, 2, 3]


def test_changed_file_of_the_same_size_from_a_server_that_says_nothing_of_it(server, tmp_path):
    server.versions = ()
    for number in (1, 2):
        server.files["/x.pth"] = checkpoint(tmp_path, number)
        assert load(server, "/x.pth") == number
    server.stop()
    assert load(server, "/x.pth") == 2


@pytest.mark.parametrize("conditions", [True, False])
@pytest.mark.parametrize("versions", [("etag",), ("date",), ("etag", "date")])
def test_changed_file_is_fetched_again(server, tmp_path, versions, conditions):
    server.versions, server.conditions = versions, conditions
    server.files["/x.pth"] = checkpoint(tmp_path, 1)
    assert load(server, "/x.pth") == 1
    before = http_file.place(f"{server.url}/x.pth").stat().st_mtime_ns
    assert load(server, "/x.pth") == 1
    assert http_file.place(f"{server.url}/x.pth").stat().st_mtime_ns == before
    server.files["/x.pth"], server.date = checkpoint(tmp_path, 2), server.date + 60
    assert load(server, "/x.pth") == 2


def test_without_a_server_what_is_there_is_used_and_said(server, tmp_path, said):
    server.files["/x.pth"] = checkpoint(tmp_path, 1)
    load(server, "/x.pth")
    server.stop()
    said.clear()
    assert load(server, "/x.pth") == 1
    (line,) = said
    assert "cannot be asked whether its file has changed" in line
    assert hashlib.sha256(server.files["/x.pth"]).hexdigest() in line


def test_damaged_copy_is_replaced(server, tmp_path):
    server.files["/x.pth"] = checkpoint(tmp_path, 1)
    load(server, "/x.pth")
    target = http_file.place(f"{server.url}/x.pth")
    target.write_bytes(target.read_bytes()[:-1] + b"?")
    assert load(server, "/x.pth") == 1
    target.write_bytes(target.read_bytes()[:-1] + b"?")
    server.stop()
    with pytest.raises(UserError, match="could not download"):
        load(server, "/x.pth")


def test_file_that_was_put_there_by_hand(server, tmp_path, said):
    target = http_file.place(f"{server.url}/x.pth")
    target.parent.mkdir(parents=True)
    target.write_bytes(checkpoint(tmp_path, 5))
    assert load(server, "/x.pth") == 5
    assert server.requests == []
    assert "put there by hand" in said[0]


def test_unchanged_is_no_answer_to_who_has_nothing(server, tmp_path, monkeypatch):
    """As some proxies give; there was a traceback."""
    monkeypatch.setattr(FileHandler, "answer", lambda self: self.send_error(304))
    with pytest.raises(UserError, match="could not download.*304"):
        load(server, "/x.pth")


@pytest.mark.parametrize("record", ["", "[]", '{"sha256": 3}', "{"])
def test_odd_record_beside_the_file(server, tmp_path, record):
    server.files["/x.pth"] = checkpoint(tmp_path, 1)
    load(server, "/x.pth")
    target = http_file.place(f"{server.url}/x.pth")
    target.with_name("x.pth.json").write_text(record)
    assert load(server, "/x.pth") == 1


def test_record_says_which_file_it_is(server, tmp_path):
    server.files["/x.pth"] = checkpoint(tmp_path, 1)
    load(server, "/x.pth")
    record = json.loads(http_file.place(f"{server.url}/x.pth").with_name("x.pth.json").read_text())
    assert record["sha256"] == hashlib.sha256(server.files["/x.pth"]).hexdigest()
    assert record["url"] == f"{server.url}/x.pth"


@pytest.mark.parametrize("address", ["/", "/a/..", "/.", ""])
def test_no_address_names_a_place_outside_of_the_cache(server, address, tmp_path):
    target = http_file.place(server.url + address)
    assert target.name == "checkpoint"
    assert target.resolve().is_relative_to(tmp_path / "hub/checkpoints")


def test_a_number_in_a_name_is_no_digest(server, tmp_path):
    server.files["/resnet-101.pth"] = checkpoint(tmp_path, 1)
    assert load(server, "/resnet-101.pth") == 1


@pytest.mark.parametrize("name", ["model-20240101", "model-20241399", "step-00100000"])
def test_a_date_in_a_name_is_no_digest(server, tmp_path, said, name):
    """Of digests of eight digits, one in 43 has no letter, and so may look like one."""
    addresses = [f"/run{number}/{name}.pth" for number in (1, 2)]
    for number, address in enumerate(addresses):
        server.files[address] = checkpoint(tmp_path, number)
    for _ in range(2):
        assert [load(server, address) for address in addresses] == [0, 1]
    assert len(said) == 4
    digits = name.rpartition("-")[2]
    assert all(f"{digits} in its name is a date or a number, not" in line for line in said)


def named_by_decimals(tmp_path):
    """Return the name and the bytes of a file whose digest begins with eight decimals."""
    content = checkpoint(tmp_path, 7)
    for number in range(1000):
        data = content + str(number).encode()
        digest = hashlib.sha256(data).hexdigest()[:8]
        if digest.isdecimal():
            return f"net-{digest}.pth", data
    raise AssertionError("one in 43")


@pytest.mark.parametrize("damaged", [False, True])
def test_decimals_that_are_a_digest_are_believed(server, tmp_path, said, damaged):
    name, data = named_by_decimals(tmp_path)
    server.files[f"/{name}"] = data + b"?" * damaged
    server.versions = ()
    for _ in range(2):
        path, _ = http_file.fetch(f"{server.url}/{name}")
        assert path.read_bytes() == server.files[f"/{name}"]
    assert ("is a date or a number" in said[0]) == damaged
    # What its name confirms need not be asked for again.
    assert len(server.requests) == 1 + damaged


def test_decimals_that_are_a_digest_in_the_cache_of_torch(server, tmp_path, monkeypatch):
    name, data = named_by_decimals(tmp_path)
    folder = tmp_path / "hub/checkpoints"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(data)
    assert http_file.fetch(f"{server.url}/{name}") == (folder / name, False)
    assert server.requests == []
    hashed = []
    monkeypatch.setattr(http_file, "sha256", lambda path: hashed.append(path) or sha256(path))
    load(server, f"/{name}")
    assert hashed == [folder / name]
    (folder / name).write_bytes(data + b"?")
    server.files[f"/{name}"] = data
    assert http_file.fetch(f"{server.url}/{name}")[0].read_bytes() == data


@pytest.mark.parametrize("part", ["headers", "content"])
def test_slow_server_is_given_up(server, cached, tmp_path, monkeypatch, part):
    """One byte in 20 ms, where 1000 in a second are asked for."""
    monkeypatch.setattr(http_file, "PATIENCE", 0.3)
    server.files["/x.pth"] = checkpoint(tmp_path, 1)
    server.slow_headers, server.slow, server.cuts = part == "headers", True, [0]
    with pytest.raises(UserError, match=r"could not download.*(too slow|no answer within)"):
        load(server, "/x.pth")
    assert cached() == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_no_fault_of_the_connection(server, cached, tmp_path, monkeypatch, code):
    def fail(descriptor):
        raise OSError(code, os.strerror(code))

    server.files["/x.pth"] = checkpoint(tmp_path, 1)
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(
        UserError, match=f"{server.url}/x.pth cannot be written to .*; free"
    ) as told:
        load(server, "/x.pth")
    assert str(tmp_path / "hub") in str(told.value) and "fetch" not in str(told.value).lower()
    assert cached() == []


def test_web_page_is_not_kept(server, cached):
    server.files["/x.pth"] = b"<!DOCTYPE html><html>log in</html>"
    with pytest.raises(UserError):
        load(server, "/x.pth")
    assert cached() == []


def test_long_download_shows_megabytes(server, impatient, capsys):
    server.files["/x.bin"] = bytes(2_500_000)
    http_file.fetch(f"{server.url}/x.bin")
    errors = capsys.readouterr().err
    assert "downloading x.bin, in megabytes:\n" in errors
    assert "] 3/3, " in errors and "ETA" in errors
