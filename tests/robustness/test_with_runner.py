"""Data sets and metrics in a config, evaluated by tools/test.py, agree with a plain loop."""

import re

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, METRICS

from gcp_mm.errors import UserError
from gcp_mm.robustness import metrics as relative_metric
from gcp_mm.robustness.evaluation.comparability import measured_data
from gcp_mm.robustness.measures import Baseline, corruption_error, perturbation_robustness
from gcp_mm.robustness.measures.perturbation_robustness import measure_clips
from gcp_mm.robustness.names import BENCHMARK_CORRUPTIONS, PERTURBATIONS, SEVERITIES
from robustness.conftest import CLASSES, SIZE
from robustness.plain_loop import count_right, top5_of_clips

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
        line = next(line for line in output.splitlines() if "imagenet_" in line)
        found = re.findall(r"imagenet_[cp]/(\S+): ([-\d.e]+)", line)
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


@pytest.fixture(params=["ImageNetC", "ImageNetP"])
def evaluated(request):
    """Return a metric of random scores for all cells, its data and its main mean."""
    name = request.param
    tree = request.getfixturevalue(f"tree_{name[-1].lower()}")
    metric, mean = {"C": ("CorruptionError", "mCE"), "P": ("FlipRate", "mFR")}[name[-1]]
    data = DATASETS.build(
        dict(type=f"gcp_mm.{name}", data_root=str(tree), input_size=SIZE, num_samples=2)
    )
    scores = torch.randn(len(data), 6, generator=torch.Generator().manual_seed(0))
    rows = samples(data, scores)

    def evaluate(order=None, times=1, **changed):
        options = {"baseline": changed.pop("baseline")} if "baseline" in changed else {}
        built = METRICS.build(dict(type=f"gcp_mm.{metric}", **options))
        settings = {**data.metainfo["settings"], **changed}
        built.dataset_meta = {**data.metainfo, "settings": settings}
        chosen = rows if order is None else [rows[index] for index in order]
        built.process(None, chosen)
        return [built.compute_metrics(built.results) for _ in range(times)][-1]

    return evaluate, data, mean


def test_repeated_samples_count_once_and_missing_ones_are_refused(evaluated):
    evaluate, data, _ = evaluated
    number = len(data)
    shuffled = np.random.default_rng(0).permutation(number).tolist()
    assert evaluate([*shuffled, *shuffled[:7]]) == evaluate()
    with pytest.raises(UserError, match=f"{number - 1} of {number} samples"):
        evaluate(range(1, number))


def test_other_data_than_the_released_have_no_relative_mean(evaluated, monkeypatch):
    evaluate, _, mean = evaluated
    texts = []
    monkeypatch.setattr(relative_metric, "print_log", lambda text, *_: texts.append(text))
    found = evaluate(times=2)
    assert not [name for name in found if name.startswith(("CE/", "mCE", "relative", "mFR", "mT5"))]
    assert found.keys() & {"fog/1", "FP/tilt"} and 0 < found.get("mean_error", 1) <= 100
    assert len([text for text in texts if f"no {mean}:" in text and "not measured on" in text]) == 1


@pytest.mark.parametrize("number", [2, None])
def test_released_data_have_the_mean_of_the_formula(evaluated, number):
    evaluate, _, mean = evaluated
    released = {"num_classes": 1000, "classes_sha256": None, "num_samples": number}
    found = evaluate(**released)
    key = mean if number is None else f"{mean}_num_samples_2"
    assert [name for name in found if name.startswith(mean)] == [key]
    if mean == "mCE":
        errors = {n: [found[f"{n}/{s}"] / 100 for s in SEVERITIES] for n in BENCHMARK_CORRUPTIONS}
        expected = corruption_error(errors)["mCE"]
    else:
        flips = {name: found[f"FP/{name}"] for name in PERTURBATIONS}
        expected = perturbation_robustness(flips, flips)["mFR"]
    assert found[key] == pytest.approx(expected, rel=1e-12)
    regenerated = evaluate(**released, regenerated=True)
    assert not [name for name in regenerated if name.startswith(mean)]


def test_baseline_of_the_same_data_gives_the_mean(evaluated):
    evaluate, data, mean = evaluated
    baseline = Baseline(
        "mine",
        "imagenet-c" if mean == "mCE" else "imagenet-p",
        error=dict.fromkeys(BENCHMARK_CORRUPTIONS, (0.5,) * 5),
        flip_probability=dict.fromkeys(PERTURBATIONS, 0.5),
        data=measured_data(data.metainfo["settings"]),
    )
    found = evaluate(baseline=baseline)
    if mean == "mCE":
        expected = 2 * found["mean_error"]
    else:
        expected = 200 * np.mean([found[f"FP/{name}"] for name in PERTURBATIONS])
    assert found[f"{mean}_num_samples_2"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("metric", ["CorruptionError", "FlipRate"])
def test_scores_that_are_no_numbers_are_refused(metric):
    """Their order never changes, so that a broken network would be the most robust one."""
    built = METRICS.build(dict(type=f"gcp_mm.{metric}"))
    values = (1.0, float("nan"), float("inf"))
    rows = [
        {"pred_score": torch.full((6,), value), "sample_idx": index, "gt_label": 0}
        for index, value in enumerate(values)
    ]
    with pytest.raises(UserError, match="scores of 2 of 3 images are not finite"):
        built.process(None, rows)
    assert built.results == []


@pytest.mark.parametrize(
    ("metric", "options", "named"),
    [
        ("CorruptionError", {"baseline": "absent.json"}, "'absent.json' is neither"),
        ("CorruptionError", {"clean_error": 23.9}, "clean_error is 23.9, expected a fraction"),
        ("FlipRate", {"baseline": "absent.json"}, "'absent.json' is neither"),
    ],
)
def test_wrong_setting_is_named_before_anything_is_evaluated(metric, options, named):
    with pytest.raises(UserError, match=named):
        METRICS.build(dict(type=f"gcp_mm.{metric}", **options))


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
