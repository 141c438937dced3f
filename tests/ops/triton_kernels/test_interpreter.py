"""Run the tests of this folder once more, with Triton's interpreter in place of a GPU."""

import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from packaging.version import Version

pytest.importorskip("triton", reason="Triton is not installed")
FILES = [
    "../gram/test_arithmetic.py::test_fused_products_give_the_same",
    *("test_products.py", "test_fused.py"),
]


@pytest.mark.skipif(
    Version(version("triton")) < Version("3.7") and Version(np.__version__) >= Version("2.4"),
    reason="the interpreter of Triton 3.6 needs numpy < 2.4",
)
def test_kernels_in_the_interpreter(run_tool):
    # Triton looks at the variable once, when it is imported: another process.
    result = run_tool(
        "-m",
        "pytest",
        *("-q", "-p", "no:cacheprovider", "-k", "not test_error", "-m", "not gpu"),
        *(Path(__file__).parent / name for name in FILES),
        TRITON_INTERPRET="1",
        # Workers of its own would be asked for too, and would not say what was deselected.
        PYTEST_ADDOPTS="",
        GCP_MM_TRITON="1",
        timeout=550,
    )
    assert result.returncode == 0, result.stdout
    # Nothing skipped.
    summary = r"^\d+ passed(, \d+ deselected)?(, \d+ warnings?)? in"
    assert re.search(summary, result.stdout, re.MULTILINE), result.stdout
