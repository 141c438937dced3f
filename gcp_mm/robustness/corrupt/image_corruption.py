"""The 15 + 4 corruptions of an image, computed by ``imagecorruptions``.

Of the packages with these functions, ``imagecorruptions-imaug`` is the one that is maintained and
runs with today's numpy and scikit-image (https://pypi.org/project/imagecorruptions-imaug). It draws
from numpy's global generator, and two of its functions from a generator of their own.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import numpy as np

from gcp_mm.errors import UserError

# These two do not draw from the global generator.
_OWN_GENERATOR = ("impulse_noise", "glass_blur")

# The package refuses smaller images.
MIN_SIDE = 32


@contextlib.contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def require_imagecorruptions() -> None:
    """Make sure that the package is there, and is the one that runs.

    Raises:
        UserError: If it cannot be imported.
    """
    try:
        import imagecorruptions  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"the corruptions need the package imagecorruptions-imaug ({error}): "
            "pip install imagecorruptions-imaug, without the older imagecorruptions beside it"
        ) from error


def corrupt_image(image: np.ndarray, corruption: str, severity: int, seed: int) -> np.ndarray:
    """Corrupt an image.

    Args:
        image: RGB, uint8, (H, W, 3), at least 32 x 32.
        corruption: A name, such as 'gaussian_noise'.
        severity: From 1 to 5.
        seed: The same seed gives the same pixels.

    Returns:
        The corrupted image, of the same type and shape.
    """
    from imagecorruptions import corrupt

    own = {"seed": seed} if corruption in _OWN_GENERATOR else {}
    # For sides that differ, two of the functions print that they cut a border off.
    with _global_seed(seed), contextlib.redirect_stdout(io.StringIO()):
        return corrupt(image, severity=severity, corruption_name=corruption, **own)
