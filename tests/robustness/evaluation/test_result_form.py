"""Result files of any form: used, or refused in one line that names file and entry."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.evaluation.baselines import write_baseline
from gcp_mm.robustness.evaluation.comparability import corruption_measures, measured_data
from gcp_mm.robustness.evaluation.evaluate import describe_clips
from gcp_mm.robustness.evaluation.merge import merge
from gcp_mm.robustness.evaluation.result import ResultFile, read_result
from gcp_mm.robustness.evaluation.top5_file import Top5, top5_path, write_top5
from gcp_mm.robustness.measures import Baseline
from gcp_mm.robustness.names import BENCHMARK_CORRUPTIONS, PERTURBATIONS
from gcp_mm.robustness.report import read_models
from gcp_mm.robustness.report.models import check_comparable
from gcp_mm.robustness.report.tables import markdown
from gcp_mm.robustness.report.values import csv_text, long_table
from robustness.report.conftest import SETTINGS, TOTAL, clips, content_of, images

ODD = [
    *(None, True, -1, 0, 3, 2.5, 10**400, "", "text", "../../x", [], [1], ["a"], {}, {"a": 1}),
    *({"a": {}}, [[]], [0, 0], [2, 1], float("nan"), float("inf"), -1e308, "\ud800"),
]


def shards(tmp_path, dataset, names=PERTURBATIONS, **changed):
    """Write two shards of an evaluation of 10 files, of ImageNet-P with cells of these names."""
    cells = images({"fog": 0.5}, clean=0.5) if dataset == "imagenet-c" else clips(0.1, 2.0, names)
    for cell in cells.values():
        cell.update({"correct": 2, "total": 5} if "total" in cell else {"clips": 5, "frames": 10})
    contents = []
    for number in range(2):
        settings = {**SETTINGS, "files_per_cell": 10, "shard": [number, 2], **changed}
        more = {"metrics": {"mCE": None}, "versions": {"torch": "2"}}
        more["environment"] = {"device": ["cpu"], "batch_size": [1]}
        content = content_of(dataset, settings, copy.deepcopy(cells), **more)
        contents.append(content)
        path = tmp_path / f"{number}.json"
        for cell in cells if dataset == "imagenet-p" else ():
            frames = np.zeros((10, 5), np.int16)
            top5 = Top5(np.arange(number, 10, 2), np.full(5, 2), frames)
            write_top5(top5_path(path, cell), top5)
            content["cells"][cell].update(describe_clips(cell, top5))
        path.write_text(json.dumps(content))
    return contents


def places(value, path=()):
    """Yield the keys that lead to every entry."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in entries:
        yield (*path, key)
        if isinstance(entry, dict | list):
            yield from places(entry, (*path, key))


def put(content, path, value):
    """Return a copy with another value at a place; the rest is shared."""
    content = holder = copy.copy(content)
    for key in path[:-1]:
        holder[key] = holder = copy.copy(holder[key])
    if value is put:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return content


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["imagenet-c", "imagenet-p"])
def test_every_odd_value_is_used_or_refused(tmp_path, dataset):
    shards(tmp_path, dataset)
    merged = tmp_path / "merged.json"
    complete = merge([tmp_path / "0.json", tmp_path / "1.json"], merged, "alexnet")
    file = tmp_path / "0.json"
    # A baseline needs all cells; two show how cells are added up.
    shard = shards(tmp_path, dataset, PERTURBATIONS[:2])[0]

    def use(content, whole):
        file.write_text(json.dumps(content))
        if not whole:
            merged.unlink(missing_ok=True)
            merge([file, tmp_path / "1.json"], merged, "alexnet")
            return
        models = read_models([file])
        numbers = long_table(models)
        markdown(models, numbers, check_comparable(models))
        csv_text(numbers)
        ResultFile(file, dataset, "net", content["settings"])
        write_baseline(read_result(file), tmp_path / "baseline.json")

    tried = refused = 0
    for whole, content in ((False, shard), (True, complete)):
        chosen = {str(p): p for p in places(content)}
        # Cells are alike, and so is what follows from them.
        _, *others = content["cells"]
        for path in chosen.values():
            if not set(others).isdisjoint(path):
                continue
            for value in (*ODD, put):
                tried += 1
                try:
                    use(put(content, path, value), whole)
                except UserError as error:
                    refused += 1
                    assert "\n" not in str(error), (path, value)
    assert tried > 1000 and refused > tried / 3
    assert not list(tmp_path.parent.glob("x*"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "no JSON file .RecursionError"),
        ("", "no JSON file"),
        ("\xff\xfe", "no JSON file"),
        ("[]", "it is a list of 0, not an object"),
        ('{"format": "gcp_mm robustness", "version": true}', "lacks 'dataset'"),
    ],
)
def test_other_files_are_named(tmp_path, text, why):
    (tmp_path / "x.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=rf"x\.json' is not version 1 .*: .*{why}"):
        read_result(tmp_path / "x.json")


@pytest.mark.parametrize("dataset", ["imagenet-c", "imagenet-p"])
@pytest.mark.parametrize("name", ["../../outside/evil", "/evil", "fog/6", "tilt/../tilt", "."])
def test_cell_is_no_path(tmp_path, dataset, name):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    for number, content in enumerate(shards(folder, dataset)):
        cell = next(iter(content["cells"]))
        content["cells"][name] = content["cells"][cell]
        (folder / f"{number}.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"/0\.json' .*: cells has the unknown name"):
        merge([folder / "0.json", folder / "1.json"], folder / "merged.json", "alexnet")
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (folder / "merged.json").exists()


def test_more_right_than_there_are_is_refused(tmp_path):
    (content, _) = shards(tmp_path, "imagenet-c")
    content["cells"]["fog/1"]["correct"] = TOTAL
    (tmp_path / "0.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="cells/fog/1 has 50000 right of 5 images"):
        read_result(tmp_path / "0.json")


def test_corruption_that_does_not_change_the_baseline_is_read_again(tmp_path):
    (content, _) = shards(tmp_path, "imagenet-c")
    flat = Baseline(
        "flat",
        "imagenet-c",
        error=dict.fromkeys(BENCHMARK_CORRUPTIONS, (0.5,) * 5),
        clean_error=0.5,
    )
    data = measured_data(content["settings"])
    settings = {**content["settings"], "shard": None}
    measures = corruption_measures(content["cells"], settings, replace(flat, data=data))
    assert measures["relative_CE"] == {"fog": None}
    file = ResultFile(tmp_path / "out.json", "imagenet-c", "net", settings)
    file.cells.update(content["cells"])
    file.save(replace(flat, data=data))
    assert read_result(tmp_path / "out.json")["metrics"]["relative_CE"] == {"fog": None}


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        (
            {"torch": "2.1"},
            {"torch": "2.1", "av": "17.0"},
            "av is not recorded there and 17.0 here. It is kept. To go on with it, uninstall av, "
            "without which OpenCV decodes the clips as it did there, or choose another --out",
        ),
        (
            {"torch": "2.1", "av": "16.0"},
            {"torch": "2.2"},
            "av is 16.0 there and not installed here, torch is 2.1 there and 2.2 here. It is kept. "
            "To go on with it, install av 16.0 and install torch 2.1, or choose another --out",
        ),
    ],
)
def test_versions_that_differ_are_named_with_the_remedy(tmp_path, there, here, said):
    path = tmp_path / "out.json"
    file = ResultFile(path, "imagenet-p", "name", {})
    file.measured_with(there, {})
    file.measured_with(there, {})
    with pytest.raises(UserError) as caught:
        file.measured_with(here, {})
    text = f"{str(path)!r} has cells that were measured with other versions: {said}"
    assert str(caught.value) == text
