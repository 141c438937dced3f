"""Numbers that the originals of the family gave."""

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def family(shared):
    """Read a golden file of the family."""
    folder = shared / "golden/family"
    return lambda name: dict(np.load(folder / f"{name}.npz"))


@pytest.fixture(scope="session")
def check_golden(family, worst):
    """Compare value and gradient of a function of x with a golden file, in float64 and float32."""

    def check(name, function, gradient="grad_x", output="output", tolerance=1e-12):
        golden = family(name)
        # Where the original was not run, no rounding of it in float32 is known.
        rounding = golden.get("float32_rel_err", (5e-7, 1e-6))
        for dtype, bounds in (
            (torch.float64, (tolerance, tolerance)),
            (torch.float32, tuple(10 * error for error in rounding)),
        ):
            x = torch.tensor(golden["x"], dtype=dtype, requires_grad=True)
            value = function(x, golden)
            cotangent = torch.tensor(golden["cotangent"], dtype=dtype)
            (found,) = torch.autograd.grad(value, x, cotangent)
            assert worst(value, golden[output]) < bounds[0]
            assert worst(found, golden[gradient]) < bounds[1]

    return check
