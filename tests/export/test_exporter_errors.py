"""What an exporter raises is told apart: the network's fault, or the machine's."""

import errno
import os

import pytest
from torch import nn

from gcp_mm.errors import FileWriteError, UserError
from gcp_mm.export.exporter_errors import explain_errors


def test_full_disk_is_not_the_fault_of_the_network():
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left") as caught, explain_errors(nn.ReLU(), "ONNX"):
        raise full
    assert caught.value is full


def test_error_without_a_number_of_the_system_names_the_network():
    expected = "ReLU cannot be exported to ONNX: OSError: no such library"
    with pytest.raises(UserError, match=expected), explain_errors(nn.ReLU(), "ONNX"):
        raise OSError("no such library")


def test_file_that_cannot_be_written_is_told_once():
    inner = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    error = FileWriteError.of(inner, "file '.a.part' cannot be written")
    told = str(FileWriteError.of(error, "figure 'a' cannot be written"))
    assert told == (
        "figure 'a' cannot be written: No space left on device; free some space and start again"
    )
