"""What newer Pythons removed, tried by removing it from the one that is here."""

import importlib.util
import pkgutil
import warnings
from types import SimpleNamespace

import pytest

from gcp_mm.engine.removed_from_python import find_loader, provide_find_loader


@pytest.mark.parametrize("name", ["json", "json.decoder", "no_such_module", "json.no_such_module"])
def test_finds_what_pkgutil_found(name):
    spec = importlib.util.find_spec(name)
    assert (find_loader(name) is None) == (spec is None)
    if spec is not None:
        assert find_loader(name).get_filename(name) == spec.origin
    if hasattr(pkgutil, "find_loader"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from 3.12 on it is deprecated
            original = pkgutil.find_loader(name)
        assert type(find_loader(name)) is type(original)


def test_package_above_that_is_missing():
    with pytest.raises(ImportError, match=r"no_such_package"):
        find_loader("no_such_package.module")


def test_replaces_nothing_that_is_there(monkeypatch):
    module = SimpleNamespace(pkgutil=pkgutil)
    monkeypatch.setattr(pkgutil, "find_loader", find_loader, raising=False)
    provide_find_loader(module)
    assert module.pkgutil is pkgutil


# As in Python 3.14; importing gcp_mm comes last, as through a config's custom_imports.
WITHOUT = """
import pkgutil
if hasattr(pkgutil, "find_loader"):
    del pkgutil.find_loader
{first}
{second}
from mmengine.utils.dl_utils.misc import mmcv_full_available
from mmcv.utils.ext_loader import check_ops_exist
print(mmcv_full_available(), check_ops_exist(), hasattr(pkgutil, "find_loader"))
"""


@pytest.mark.parametrize(
    "order",
    [
        ("import gcp_mm", "import mmengine.runner"),
        ("import mmengine.runner, mmcv.ops", "import gcp_mm"),
    ],
)
def test_openmmlab_runs_without_it(order, run_warm, tmp_path):
    pytest.importorskip("mmcv")
    process = run_warm("-c", WITHOUT.format(first=order[0], second=order[1]), cwd=tmp_path)
    assert process.stdout == "True True False\n", process.stderr


def test_training_starts_without_it(trained_otherwise):
    """A whole training and evaluation by tools/train.py."""
    work_dir, _ = trained_otherwise
    assert (work_dir / "epoch_1.pth").is_file()


# As at the start of a program, without what libraries that are there have imported.
DISTUTILS = """
import importlib, importlib.machinery, sys
class Absent:
    # The versions of packages are found through the same list.
    find_distributions = importlib.machinery.PathFinder.find_distributions

    @staticmethod
    def find_spec(name, path=None, target=None):
        # As Python 3.12 without the .pth file of setuptools.
        if name == "distutils" and "setuptools" not in sys.modules:
            return None
        for finder in others:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
others = [finder for finder in sys.meta_path if "istutils" not in type(finder).__name__]
sys.meta_path[:] = [Absent]
for name in list(sys.modules):
    if name.split(".")[0] in ("distutils", "setuptools", "_distutils_hack"):
        del sys.modules[name]
for name in sys.argv[1:]:
    importlib.import_module(name)
from mmengine.utils.dl_utils import collect_env
print(collect_env()["Python"] == sys.version.replace(chr(10), ""))
"""


@pytest.mark.parametrize("order", [("gcp_mm", "mmengine"), ("mmengine.utils.dl_utils", "gcp_mm")])
def test_report_of_the_environment_needs_no_distutils_of_python(run_warm, tmp_path, order):
    pytest.importorskip("mmengine")
    process = run_warm("-c", DISTUTILS, *order, cwd=tmp_path)
    assert process.stdout == "True\n", process.stderr
