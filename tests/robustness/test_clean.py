"""Images without corruption are told apart by their names, classes and preparation."""

import shutil

import pytest

from gcp_mm.engine.config import load_config
from gcp_mm.robustness.evaluation.clean import clean_images
from gcp_mm.robustness.evaluation.options import Options

from .conftest import CLASSES

TABLE = {name: index for index, name in enumerate(CLASSES)}


@pytest.fixture
def sha256(config, tmp_path):
    def compute(root, table=TABLE, pipeline=None, **options):
        cfg = load_config(str(config))
        if pipeline:
            cfg.test_dataloader.dataset.pipeline.insert(1, pipeline)
        asked = Options("imagenet-c", root, tmp_path / "o.json", "net", clean_root=root, **options)
        return clean_images(cfg, asked, table).sha256

    return compute


def test_place_does_not_matter_and_all_else_does(sha256, clean, tmp_path):
    shutil.copytree(clean, tmp_path / "moved")
    expected = sha256(clean)
    assert sha256(tmp_path / "moved") == expected
    resize = dict(type="Resize", scale=(32, 32), backend="pillow")
    swapped = {**TABLE, CLASSES[0]: 1, CLASSES[1]: 0}
    swapped = dict(sorted(swapped.items(), key=lambda item: item[1]))
    others = [
        sha256(clean, pipeline=resize),
        sha256(clean, table=swapped),
        sha256(clean, num_samples=6),
    ]
    (tmp_path / "moved" / CLASSES[2] / "0.png").rename(tmp_path / "moved" / CLASSES[2] / "9.png")
    others.append(sha256(tmp_path / "moved"))
    assert len({expected, *others}) == 5
