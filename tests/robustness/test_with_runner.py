"""Data sets and metrics in a config, evaluated by tools/test.py, agree with a plain loop."""

import re

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, METRICS

from gcp_mm.errors import UserError
from gcp_mm.evaluation.sequences import measure_clips

from .conftest import CLASSES, SIZE
from .plain_loop import count_right, top5_of_clips

CONFIG = """
_base_ = '{config}'

test_dataloader = dict(
    batch_size=5, num_workers=0, persistent_workers=False, pin_memory=False,
    dataset=dict(
        _delete_=True, type='gcp_mm.{dataset}', data_root='{tree}', input_size={size}, **{options}))
test_evaluator = dict(_delete_=True, type='gcp_mm.{metric}')
"""


@pytest.fixture
def metrics(call_tool, config, checkpoint, tmp_path):
    """Run tools/test.py with a data set and a metric; return the metrics it prints."""

    def run(dataset, tree, metric, **options):
        path = tmp_path / "evaluate.py"
        text = CONFIG.format(
            config=config, dataset=dataset, tree=tree, size=SIZE, metric=metric, options=options
        )
        path.write_text(text)
        code, output, errors = call_tool(
            *("tools/test.py", path, checkpoint, "--work-dir", tmp_path / "work")
        )
        assert code == 0, errors
        found = re.findall(r"imagenet_[cp]/(\S+): ([-\d.e]+)", output.splitlines()[-1])
        return {name: float(value) for name, value in found}

    return run


def test_corruption_error(metrics, tree_c, network):
    found = metrics("ImageNetC", tree_c, "CorruptionError", corruptions=["fog"], severities=[2, 5])
    for severity in (2, 5):
        counts = count_right(network, tree_c / "fog" / str(severity), CLASSES)
        expected = 100 * (1 - counts["correct"] / counts["total"])
        assert found[f"fog/{severity}"] == pytest.approx(expected, abs=1e-3)
    assert "mCE" not in found


def test_flip_rate(metrics, tree_p, network):
    found = metrics("ImageNetP", tree_p, "FlipRate", perturbations=["shot_noise", "tilt"])
    for name in ("shot_noise", "tilt"):
        expected = measure_clips(top5_of_clips(network, tree_p / name), name)
        assert found[f"FP/{name}"] == pytest.approx(expected.flip_probability, abs=1e-4)
        assert found[f"T5D/{name}"] == pytest.approx(expected.top5_distance, abs=1e-4)
    assert "mFR" not in found


def samples(dataset, scores):
    return [
        {"pred_score": row, **{k: item["data_samples"].get(k) for k in ("sample_idx", "gt_label")}}
        for row, item in zip(scores, (dataset[i] for i in range(len(dataset))), strict=True)
    ]


@pytest.mark.parametrize(
    ("dataset", "options", "metric"),
    [
        ("ImageNetC", dict(corruptions="benchmark", num_samples=2), "CorruptionError"),
        ("ImageNetP", dict(perturbations="benchmark", num_samples=2), "FlipRate"),
    ],
)
def test_repeated_samples_count_once_and_missing_ones_are_refused(
    request, dataset, options, metric
):
    tree = request.getfixturevalue(f"tree_{dataset[-1].lower()}")
    options = dict(type=f"gcp_mm.{dataset}", data_root=str(tree), input_size=SIZE, **options)
    data = DATASETS.build(options)
    scores = torch.randn(len(data), 6, generator=torch.Generator().manual_seed(0))
    rows = samples(data, scores)

    def evaluate(order):
        built = METRICS.build(dict(type=f"gcp_mm.{metric}"))
        built.dataset_meta = data.metainfo
        built.process(None, [rows[index] for index in order])
        return built.compute_metrics(built.results)

    once = evaluate(range(len(rows)))
    shuffled = np.random.default_rng(0).permutation(len(rows)).tolist()
    assert evaluate([*shuffled, *shuffled[:7]]) == once
    assert once["mCE" if dataset == "ImageNetC" else "mFR"] > 0
    with pytest.raises(UserError, match=f"{len(rows) - 1} of {len(rows)} samples"):
        evaluate(range(1, len(rows)))


def test_labels_are_those_of_the_table_where_a_class_is_missing(tree_c):
    options = dict(type="gcp_mm.ImageNetC", data_root=str(tree_c), input_size=SIZE)
    data = DATASETS.build({**options, "corruptions": ["fog"], "classes": CLASSES})
    assert data.labels.tolist() == sorted(list(range(6)) * 3)
    reverse = DATASETS.build({**options, "corruptions": ["fog"], "classes": CLASSES[::-1]})
    assert reverse.labels.tolist() == [5 - label for label in data.labels]
    with pytest.raises(UserError, match="1 of 7 missing: class_6"):
        DATASETS.build({**options, "classes": [*CLASSES, "class_6"]})
    part = DATASETS.build({**options, "classes": ["class_", *CLASSES], "num_samples": 6})
    assert part.labels.tolist() == [1, 2, 3, 4, 5, 6]


def test_released_data_have_to_be_complete(tmp_path):
    from gcp_mm.datasets.imagenet_classes import imagenet_wnids

    for wnid in imagenet_wnids():
        (tmp_path / "fog/1" / wnid).mkdir(parents=True)
        (tmp_path / "fog/1" / wnid / "ILSVRC2012_val_00000001.JPEG").touch()
    options = dict(type="gcp_mm.ImageNetC", data_root=str(tmp_path), corruptions="fog")
    with pytest.raises(UserError, match="have 1000 files, and the released ones 50000"):
        DATASETS.build({**options, "severities": [1]})
    part = DATASETS.build({**options, "severities": [1], "num_samples": 500})
    assert len(part) == 500 and part.labels.tolist() == list(range(0, 1000, 2))
