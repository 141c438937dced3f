"""The self-check, run on a stack of stubs that is broken in one place at a time."""

import pytest

TRANSFORMERS_GONE = 'raise ImportError("cannot import name X from transformers.modeling_utils")'
NMS_GONE = 'raise RuntimeError("operator torchvision::nms does not exist")'
NO_SYMBOL = 'raise ImportError("mmcv/_ext.so: undefined symbol: _Z3")'

# A file, the text in it to replace (all of it if empty), the new text; the row, a part of its cure.
BREAKAGES = [
    ("torch.py", "2.13.0", "2.8.1", "torch", "torch 2.9 or newer"),
    ("torchvision.py", "", NMS_GONE, "torchvision", "from one index"),
    ("mmengine/__init__.py", "0.10.7", "0.11.0rc0", "mmengine", "mmengine==0.10.7"),
    ("mmcv/__init__.py", "2.1.0", "2.2.0", "mmdet", "make install builds mmcv 2.1.0"),
    ("mmcv/__init__.py", "2.1.0", "1.7.2", "mmcv", "make install builds mmcv 2.1.0"),
    ("mmcv/ops.py", "", "import mmcv._ext", "mmcv ops, CPU", "make install builds them"),
    ("mmcv/ops.py", "", NO_SYMBOL, "mmcv ops, CPU", "another torch"),
    ("mmcv/ops.py", "[0, 2]", "[0, 1]", "mmcv ops, CPU", "--force"),
    ("setuptools.py", "80.10.2", "82.0.0", "setuptools", "<81"),
    ("pkg_resources.py", "", 'raise ImportError("no pkg_resources")', "setuptools", "<81"),
    ("cv2.py", "", 'raise ImportError("libGL.so.1: cannot open")', "opencv", "python-headless"),
    ("cv2.py", "__version__", "something", "opencv", "python-headless"),
    ("pycocotools/mask.py", "", "raise SystemExit(3)", "pycocotools", "--force"),
    ("mmpretrain/models.py", "", TRANSFORMERS_GONE, "mmpretrain", "transformers<4.56"),
    ("gcp_mm/__init__.py", 'if "mmengine"', 'if "x"', "checkpoint loader", "custom_imports"),
]


def metadata(name: str, version: str) -> tuple[str, str, str]:
    """Return the file that makes a distribution look installed, and its text."""
    file = f"{name.replace('-', '_')}-{version}.dist-info/METADATA"
    return file, "", f"Name: {name}\nVersion: {version}\n"


NUISANCES = [
    (*metadata("transformers", "4.57.1"), "transformers", "transformers<4.56"),
    (*metadata("bitsandbytes", "0.45.0"), "optimizer packages", "uninstall bitsandbytes"),
    (*metadata("lion-pytorch", "0.2.3"), "optimizer packages", "uninstall lion-pytorch"),
    (*metadata("openxlab", "0.1.3"), "openxlab", "uninstall opendatalab openxlab"),
    ("configs/x.py", "", "", "configs folder", "remove or rename"),
    ("torchvision.py", "0.28", "0.27", "torchvision", "torchvision 0.28"),
    ("torch.py", "lambda: False", "lambda: True", "mmcv ops, GPU", "FORCE_CUDA=1 make install"),
    ("gcp_mm/__init__.py", "object()", "'not compiled; do it'", "GCP layer, CPU", "do it"),
]


def test_healthy_stack_passes(doctor):
    report = doctor.run()
    assert report.exit_status == 0, report.table + report.errors
    assert "FAIL" not in report.table
    assert "warn " not in report.table
    assert "train, test and demo can run" in report.table
    assert report.row("mmcv")[1].split() == ["mmcv", "2.1.0"]
    assert report.errors == ""


@pytest.mark.parametrize(("file", "old", "new", "name", "cure"), BREAKAGES)
def test_breakage_fails_with_its_cure(doctor, file, old, new, name, cure):
    doctor.edit(file, old, new)
    report = doctor.run()
    status, text = report.row(name)
    assert (status, report.exit_status) == ("FAIL", 1), report.table
    assert cure in text
    assert name in report.table.splitlines()[-1]
    assert "Traceback" not in report.table + report.errors


@pytest.mark.parametrize(("file", "old", "new", "name", "cure"), NUISANCES)
def test_nuisance_warns_and_passes(doctor, file, old, new, name, cure):
    doctor.edit(file, old, new)
    report = doctor.run()
    status, text = report.row(name)
    assert (status, report.exit_status) == ("warn", 0), report.table
    assert cure in text


def test_missing_openmim_only_warns(doctor):
    (doctor.folder / "mim/version.py").unlink()
    (doctor.folder / "mim").rmdir()
    report = doctor.run()
    assert report.row("openmim")[0] == "warn"
    assert report.exit_status == 0


def test_no_compiler_warns(doctor):
    report = doctor.run(PATH="/nonexistent")
    assert report.row("C++ compiler")[0] == "warn"
    assert report.exit_status == 0


def test_crash_of_an_optional_probe_does_not_block(doctor):
    doctor.edit("mim/version.py", "", "1 / 0")
    report = doctor.run()
    status, text = report.row("openmim")
    assert (status, report.exit_status) == ("FAIL", 0)
    assert "ZeroDivisionError" in text


def test_help_examines_nothing(doctor):
    report = doctor.run("--help")
    assert report.exit_status == 0
    assert "Check the installed stack" in report.table
