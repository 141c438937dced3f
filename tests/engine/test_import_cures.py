"""What newer Pythons removed, tried by removing it from the one that is here; seaborn unread."""

import importlib
import importlib.util
import pkgutil
import sys
import types
import warnings

import pytest
from mim_packages import has_forks

from gcp_mm.engine.import_cures import (
    UnreadSeabornFinder,
    find_loader,
    provide_find_loader,
    read_seaborn_when_used,
)


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
    module = types.SimpleNamespace(pkgutil=pkgutil)
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


SEABORN = """
import sys
import gcp_mm, mmdet.utils
read = lambda: "seaborn.palettes" in sys.modules
print(read())
from mmdet.utils import mot_error_visualize
print(len(mot_error_visualize.sns.color_palette("deep")), read())
import seaborn
print(seaborn is mot_error_visualize.sns, seaborn.__version__ > "0.13")
print(any(type(finder).__name__ == "UnreadSeabornFinder" for finder in sys.meta_path))
"""


@pytest.mark.skipif(has_forks(), reason="the forks import no seaborn")
def test_mmdet_does_not_read_seaborn_and_its_drawing_does(run_warm, tmp_path):
    process = run_warm("-c", SEABORN, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == "False 10 True True True False".split()


def taken_out():
    """Take seaborn out of what is imported; return it."""
    names = [name for name in sys.modules if name.split(".")[0] == "seaborn"]
    return {name: sys.modules.pop(name) for name in names}


@pytest.fixture
def unimported():
    """Have no seaborn imported yet, and the present one and the finders again afterwards."""
    finders, modules = [*sys.meta_path], taken_out()
    # One may still wait, where mmdet was imported and imports none.
    sys.meta_path[:] = [one for one in finders if not isinstance(one, UnreadSeabornFinder)]
    yield
    taken_out()
    sys.modules.update(modules)
    sys.meta_path[:] = finders


@pytest.mark.parametrize("first", ["import seaborn", "from seaborn import names"])
def test_first_import_of_seaborn_is_answered_once(unimported, monkeypatch, tmp_path, first):
    (tmp_path / "seaborn.py").write_text("print('read')\nnames = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    finders = [*sys.meta_path]
    read_seaborn_when_used(types.ModuleType("mmdet"))
    assert isinstance(sys.meta_path[0], UnreadSeabornFinder)
    assert sys.meta_path[0].find_spec("pandas") is None
    exec(first)
    assert sys.meta_path == finders
    assert sys.modules["seaborn"].names == 3
    assert importlib.import_module("seaborn").names == 3


def test_absent_seaborn_is_absent(unimported, monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    sys.path_importer_cache.clear()
    read_seaborn_when_used(types.ModuleType("mmdet"))
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="seaborn"):
            importlib.import_module("seaborn")


def test_what_is_imported_already_is_left_alone(unimported):
    sys.modules["seaborn"] = types.ModuleType("seaborn")
    finders = [*sys.meta_path]
    read_seaborn_when_used(types.ModuleType("mmdet"))
    assert sys.meta_path == finders
