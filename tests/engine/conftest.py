"""What the tests of training start from, as small as they come."""

from pathlib import Path

import pytest
from tiny_runs import SMOOTH_CLASSIFIER, write_config


@pytest.fixture(scope="session")
def smooth_classifier(classifier, tmp_path_factory) -> Path:
    """Return the config of a classifier whose gradients have no jumps."""
    path = tmp_path_factory.mktemp("smooth") / "smooth_gcp.py"
    return write_config(path, SMOOTH_CLASSIFIER, classifier=classifier)
