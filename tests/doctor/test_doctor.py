"""The self-check, run on a stack of stubs that is broken in one place at a time."""

import re

import pytest

from doctor.stand_ins import COMPILED, MMDET, distribution
from gcp_mm.doctor.stack import DISTRIBUTIONS

TRANSFORMERS_GONE = 'raise ImportError("cannot import name X from transformers.modeling_utils")'
NMS_GONE = 'raise RuntimeError("operator torchvision::nms does not exist")'
WITH_GPUS = ("torch.py", "lambda: False", "lambda: True")
WITH_DRIVER = ("gcp_mm/__init__.py", "lambda: False", "lambda: True")
FINDER = "from gcp_mm.mmcv_ext import finder\n"
NO_SYMBOL = 'raise ImportError("mmcv/_ext.so: undefined symbol: _Z3")'

# A file, the text in it to replace (all of it if empty), the new text; the row, a part of its cure.
BREAKAGES = [
    ("torch.py", "2.13.0", "2.8.1", "torch", "torch 2.9 or newer"),
    ("torchvision.py", "", NMS_GONE, "torchvision", "from one index"),
    ("mmengine/__init__.py", "0.10.7", "0.11.0rc0", "mmengine", "mmengine==0.10.7"),
    ("mmcv/__init__.py", "2.1.0", "2.2.0", "mmdet", "make install installs those that do"),
    ("mmcv/__init__.py", "2.1.0", "1.7.2", "mmcv", "uninstall mmcv"),
    ("gcp_mm/__init__.py", FINDER, "finder = None\n", "mmcv operators", "make install"),
    ("mmcv/ops.py", "", NO_SYMBOL, "mmcv ops, CPU", "another torch"),
    ("mmcv/ops.py", "[0, 2]", "[0, 1]", "mmcv ops, CPU", "--force"),
    ("torch.py", "4.0", "3.0", "mmcv ops, CPU", "--force"),
    (*WITH_DRIVER, "devices", "make install TORCH=cu126"),
    ("setuptools.py", "80.10.2", "82.0.0", "setuptools", "<81"),
    ("pkg_resources.py", "", 'raise ImportError("no pkg_resources")', "setuptools", "<81"),
    ("cv2.py", "", 'raise ImportError("libGL.so.1: cannot open")', "opencv", "python-headless"),
    ("cv2.py", "__version__", "something", "opencv", "python-headless"),
    ("pycocotools/mask.py", "", "raise SystemExit(3)", "pycocotools", "--force"),
    ("mmpretrain/models.py", "", TRANSFORMERS_GONE, "mmpretrain", "transformers<4.56"),
    ("gcp_mm/__init__.py", 'if "mmengine"', 'if "x"', "checkpoint loader", "custom_imports"),
]


def package(name: str, version: str) -> tuple[str, str, str]:
    """Return the edit that makes a distribution look installed."""
    file, text = distribution(name, version)
    return file, "", text


NUISANCES = [
    (*package("transformers", "4.57.1"), "transformers", "transformers<4.56"),
    (*package("bitsandbytes", "0.45.0"), "optimizer packages", "uninstall bitsandbytes"),
    (*package("lion-pytorch", "0.2.3"), "optimizer packages", "uninstall lion-pytorch"),
    (*package("openxlab", "0.1.3"), "openxlab", "uninstall opendatalab openxlab"),
    ("configs/x.py", "", "", "configs folder", "remove or rename"),
    ("torchvision.py", "0.28", "0.27", "torchvision", "torchvision 0.28"),
    ("gcp_mm/__init__.py", 'sys.modules["_gcp', 'dict()["_gcp', "mmcv operators", "mim test"),
    ("gcp_mm/__init__.py", "object()", "'not compiled; do it'", "GCP layer, CPU", "do it"),
]


def test_healthy_stack_passes(doctor):
    report = doctor.run()
    assert report.exit_status == 0, report.table + report.errors
    assert "FAIL" not in report.table
    assert "warn " not in report.table
    assert "train, test and demo can run" in report.table
    assert report.row("mmcv")[1].split() == ["mmcv", "2.1.0"]
    assert report.row("mmcv operators")[1].endswith("torchvision's")
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


def test_two_distributions_of_one_package_warn(doctor):
    for name, version in (("mmcv", "2.1.0"), ("mmcv-lite", "2.1.0")):
        doctor.edit(*package(name, version))
    status, text = doctor.run().row("distributions")
    assert status == "warn"
    assert "mmcv and mmcv-lite" in text
    assert "pip uninstall mmcv mmcv-lite" in text


def test_compiled_mmcv_is_told_from_torchvision(doctor):
    doctor.edit("gcp_mm/__init__.py", "import types\n", "import types\n" + COMPILED)
    status, text = doctor.run().row("mmcv operators")
    assert status == "ok"
    assert text.endswith("compiled mmcv (CPU only)")


def test_every_gpu_is_probed_and_the_failing_one_blocks(doctor):
    doctor.edit(*WITH_GPUS)
    report = doctor.run()
    assert report.exit_status == 0, report.table
    assert report.row("mmcv ops, GPU")[1].endswith("work on each of 2 GPUs")
    assert "GPU number 0, GPU number 1" in report.row("devices")[1]
    doctor.edit("mmcv/ops.py", '"absent"', '"cuda:1"')
    report = doctor.run()
    status, text = report.row("mmcv ops, GPU")
    assert (status, report.exit_status) == ("FAIL", 1)
    assert "cuda:1: RuntimeError: nms_impl" in text
    assert "make install MMCV=lite (or pip uninstall mmcv; pip install mmcv-lite==2.1.0)" in text
    assert "mmcv ops, GPU" in report.table.splitlines()[-1]


def test_driver_that_torch_cannot_use(doctor):
    doctor.edit(*WITH_DRIVER)
    text = doctor.run().row("devices")[1]
    assert "supports CUDA 12.4" in text
    assert "torch was built for CUDA 13.0" in text
    text = doctor.run(CUDA_VISIBLE_DEVICES="7").row("devices")[1]
    assert "CUDA_VISIBLE_DEVICES=7 may name no GPU" in text
    report = doctor.run(CUDA_VISIBLE_DEVICES="")
    assert report.exit_status == 0
    assert report.row("devices")[1].endswith("GPUs hidden by CUDA_VISIBLE_DEVICES")
    doctor.edit("torch.py", '"13.0"', "None")
    status, text = doctor.run().row("devices")
    assert status == "FAIL"
    assert "CPU-only torch: make install" in text


def test_compiler_is_asked_for_where_triton_runs(doctor):
    report = doctor.run(PATH="/nonexistent")
    assert report.row("compilers")[0] == "ok"
    assert "none is needed (compile=True needs g++)" in report.row("compilers")[1]
    doctor.edit(*WITH_GPUS)
    assert doctor.run(PATH="/nonexistent").row("compilers")[0] == "ok"
    doctor.write("triton.py", "")
    report = doctor.run(PATH="/nonexistent")
    assert (report.row("compilers")[0], report.exit_status) == ("warn", 0)
    assert "apt-get install gcc" in report.row("compilers")[1]


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


def test_forks_pass_without_what_they_do_not_need(forks):
    report = forks.run()
    assert report.exit_status == 0, report.table + report.errors
    assert "FAIL" not in report.table
    assert "warn " not in report.table
    assert report.row("setuptools")[1].endswith("not installed, not needed")
    assert "onedl-mmdetection" in report.row("distributions")[1]


# Where the text of the forks' stub differs from that of the originals.
OF_FORKS = {"0.10.7": "0.10.12", "2.1.0": "2.3.6"}
SETUPTOOLS = ("setuptools.py", "pkg_resources.py")
FORK_BREAKAGES = [
    ("click-8.5.1.dist-info/METADATA", "8.5.1", "8.1.8", "openmim", "click>=8.3"),
    ("mim/version.py", "", "raise ModuleNotFoundError(name='mim')", "openmim", "install onedl-mim"),
    ("mmengine/__init__.py", "0.10.12", "0.11.0rc0", "mmengine", "install onedl-mmengine==0.10.12"),
    ("gcp_mm/__init__.py", 'if "mmengine"', 'if "x"', "checkpoint loader", "runs what is in"),
    ("mmdet/__init__.py", "", MMDET, "mmdet", "make install STACK=onedl"),
    (*WITH_DRIVER, "devices", "make install STACK=onedl TORCH=cu126"),
    ("mmcv/ops.py", "[0, 2]", "[0, 1]", "mmcv ops, CPU", "STACK=onedl bash requirements"),
    (*package("mmengine", "0.10.7"), "distributions", "uninstall mmengine onedl-mmengine; ST"),
]


def assert_forks_are_kept(table):
    for original, _ in DISTRIBUTIONS.values():
        assert not re.search(rf"(?<!-){re.escape(original)}", table)
    assert not re.search(r"make install(?! STACK=onedl)", table)
    assert not re.search(r"(?<!STACK=onedl )bash requirements", table)


@pytest.mark.parametrize(("file", "old", "new", "name", "cure"), FORK_BREAKAGES)
def test_breakage_of_the_forks_has_their_cure(forks, file, old, new, name, cure):
    forks.edit(file, old, new)
    report = forks.run()
    status, text = report.row(name)
    assert status in ("FAIL", "warn"), report.table
    assert cure in text
    assert_forks_are_kept(report.table)


@pytest.mark.parametrize(
    ("file", "old", "new", "name"), [row[:4] for row in BREAKAGES if row[0] not in SETUPTOOLS]
)
def test_no_cure_overwrites_the_forks(forks, file, old, new, name):
    forks.edit(file, OF_FORKS.get(old, old), new)
    report = forks.run()
    # The fork of mmdet accepts every mmcv.
    assert name == "mmdet" or report.row(name)[0] == "FAIL", report.table
    assert_forks_are_kept(report.table)


def test_setuptools_of_today_is_refused_only_where_pkg_resources_is_imported(doctor, forks):
    for stack in (doctor, forks):
        stack.write("setuptools.py", '__version__ = "82.0.0"')
        stack.write(*distribution("setuptools", "82.0.0"))
    assert "mmengine cannot do without" in doctor.run().row("setuptools")[1]
    status, text = forks.run().row("setuptools")
    assert (status, text.split()) == ("ok", ["setuptools", "82.0.0"])
    forks.write("mim/utils.py", "import pkg_resources")
    assert "mim cannot do without" in forks.run().row("setuptools")[1]
