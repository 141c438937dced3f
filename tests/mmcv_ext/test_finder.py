"""Who answers ``import mmcv._ext``: compiled operators, torchvision's, or nobody."""

import sys
import textwrap
from pathlib import Path

import pytest

from gcp_mm.mmcv_ext import finder


@pytest.fixture
def ask(run_tool, repo, tmp_path):
    """Import ``mmcv._ext`` in a fresh process without site-packages; stand-ins are on its path."""

    def ask(code: str, *folders: Path, start: str = "import finder_copy"):
        folder = tmp_path / "copies"
        folder.mkdir(exist_ok=True)
        (folder / "finder_copy.py").write_text(Path(finder.__file__).read_text())
        path = ":".join(map(str, [folder, *folders]))
        process = run_tool("-S", "-c", f"{start}\n{code}", cwd=tmp_path, PYTHONPATH=path)
        return process.stdout.strip() or process.stderr.strip().splitlines()[-1]

    return ask


def package(folder: Path, **files: str) -> Path:
    """Write modules below a folder and return it."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/', 1)}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


LITE = {"mmcv__" + "__init__": ""}
OURS = {"gcp_mm__" + "__init__": "", "gcp_mm__mmcv_ext/operators": "WHO = 'torchvision'"}
WHO = "import mmcv._ext; print(mmcv._ext.WHO)"


def test_torchvision_serves_mmcv_lite(ask, tmp_path):
    lite, ours = package(tmp_path / "lite", **LITE), package(tmp_path / "ours", **OURS)
    assert ask(WHO, lite, ours) == "torchvision"
    # In whatever order they are found.
    assert ask(WHO, ours, lite) == "torchvision"


def test_compiled_operators_win(ask, tmp_path):
    compiled = package(tmp_path / "compiled", **LITE, mmcv___ext="WHO = 'compiled'")
    ours = package(tmp_path / "ours", **OURS)
    assert ask(WHO, ours, compiled) == "compiled"


def test_without_mmcv_there_is_no_mmcv(ask, tmp_path):
    ours = package(tmp_path / "ours", **OURS)
    assert ask("import mmcv", ours) == "ModuleNotFoundError: No module named 'mmcv'"
    assert ask(WHO, ours) == "ModuleNotFoundError: No module named 'mmcv'"


def test_after_the_project_was_uninstalled_nothing_is_served(ask, tmp_path):
    lite = package(tmp_path / "lite", **LITE)
    # What uninstalling an editable project may leave: a folder without __init__.py.
    (tmp_path / "rest/gcp_mm/.mim").mkdir(parents=True)
    assert ask(WHO, lite, tmp_path / "rest").startswith("ModuleNotFoundError: No module named")


def test_asked_for_anything_else_it_is_silent():
    assert finder.TorchvisionOperatorsFinder.find_spec("mmcv.ops") is None
    assert finder.TorchvisionOperatorsFinder.find_spec("_ext") is None


def test_is_installed_once_whoever_imports_it(ask):
    code = (
        "import importlib.util as u; s = u.spec_from_file_location('again', finder_copy.__file__)"
    )
    code += "\nm = u.module_from_spec(s); s.loader.exec_module(m); m.install()"
    code += "\nimport sys; print([getattr(f, '__name__', '') for f in sys.meta_path].count("
    code += f"{finder.TorchvisionOperatorsFinder.__name__!r}))"
    assert ask(code) == "1"
    names = [getattr(found, "__name__", "") for found in sys.meta_path]
    assert names.count(finder.TorchvisionOperatorsFinder.__name__) == 1


def test_start_of_python_imports_next_to_nothing(ask):
    code = "import sys; print(sorted(set(sys.modules) - before))"
    start = "import sys; before = set(sys.modules); import finder_copy"
    assert ask(code, start=start) == "['finder_copy']"


def test_installation_serves_who_imports_mmcv_first(run_warm, tmp_path):
    """As ``mim test mmdet`` does: nothing of the project has been imported."""
    pytest.importorskip("mmcv")
    code = "import mmcv.ops, sys, mmcv._ext\n"
    code += "print(mmcv._ext.__file__, 'gcp_mm' in sys.modules)"
    process = run_warm("-c", code, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    file, imported = process.stdout.split()
    assert file.endswith((".so", "gcp_mm/mmcv_ext/operators.py"))
    assert imported == "False"


def test_import_of_the_project_serves_too(run_warm, repo, tmp_path):
    """Where ``.pth`` files are not read, as after ``pip install --target``."""
    pytest.importorskip("mmcv")
    code = f"import sys; sys.path.insert(0, {str(repo)!r})\n"
    code += "sys.meta_path[:] = [f for f in sys.meta_path if 'mmcv' not in f.__module__]\n"
    code += "import gcp_mm, mmcv.ops; print('served')"
    process = run_warm("-c", code, cwd=tmp_path)
    assert process.stdout == "served\n", process.stderr
