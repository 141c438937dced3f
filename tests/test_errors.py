"""Errors survive the way from a worker process."""

import errno
import inspect
import pickle

import pytest

from gcp_mm import errors
from gcp_mm.errors import FileWriteError, UserError

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if kind.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", KINDS)
def test_pickled_error_is_the_same(kind):
    error = kind("what is wrong, and what to do")
    if isinstance(error, OSError):
        error.errno, error.strerror = errno.ENOSPC, "No space left on device"
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is kind and issubclass(kind, UserError)
    assert str(found) == str(error) == "what is wrong, and what to do"
    assert getattr(found, "errno", None) == getattr(error, "errno", None)
    assert getattr(found, "strerror", None) == getattr(error, "strerror", None)


def test_link_to_nothing_is_no_file(tmp_path):
    (tmp_path / "runs").symlink_to("/no/disk")
    with pytest.raises(OSError) as caught:
        (tmp_path / "runs").mkdir(parents=True, exist_ok=True)
    assert str(FileWriteError.of(caught.value, "'out.json'")) == (
        f"'out.json': {str(tmp_path / 'runs')!r} leads to nothing: {str(tmp_path / 'runs')!r} is "
        "a link to '/no/disk'; mend the link, or choose another path"
    )


def test_explained_error_keeps_its_number():
    error = FileWriteError.of(OSError(errno.EROFS, "Read-only file system"), "'out.json'")
    found = pickle.loads(pickle.dumps(error))
    assert found.errno == errno.EROFS and found.strerror == "Read-only file system"
    assert str(found) == (
        "'out.json': Read-only file system; choose a folder that can be written to"
    )
