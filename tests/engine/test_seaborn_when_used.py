"""mmdet does not read seaborn; who uses it does."""

import importlib
import sys
import types

import pytest

from gcp_mm.engine.seaborn_when_used import UnreadSeabornFinder, read_it_when_used

PROGRAM = """
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


def test_mmdet_does_not_read_it_and_its_drawing_does(run_warm, tmp_path):
    process = run_warm("-c", PROGRAM, cwd=tmp_path)
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
    yield
    taken_out()
    sys.modules.update(modules)
    sys.meta_path[:] = finders


@pytest.mark.parametrize("first", ["import seaborn", "from seaborn import names"])
def test_first_import_is_answered_once(unimported, monkeypatch, tmp_path, first):
    (tmp_path / "seaborn.py").write_text("print('read')\nnames = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    finders = [*sys.meta_path]
    read_it_when_used(types.ModuleType("mmdet"))
    assert isinstance(sys.meta_path[0], UnreadSeabornFinder)
    assert sys.meta_path[0].find_spec("pandas") is None
    exec(first)
    assert sys.meta_path == finders
    assert sys.modules["seaborn"].names == 3
    assert importlib.import_module("seaborn").names == 3


def test_absent_is_absent(unimported, monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    sys.path_importer_cache.clear()
    read_it_when_used(types.ModuleType("mmdet"))
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="seaborn"):
            importlib.import_module("seaborn")


def test_what_is_imported_already_is_left_alone(unimported):
    sys.modules["seaborn"] = types.ModuleType("seaborn")
    finders = [*sys.meta_path]
    read_it_when_used(types.ModuleType("mmdet"))
    assert sys.meta_path == finders
