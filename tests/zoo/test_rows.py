"""The rows, compared with the published tables, the configs and the reader of openmim.

Rows chosen by what they are.
"""

import pytest
import yaml

import gcp_mm.zoo.rows
from gcp_mm.errors import UserError
from gcp_mm.zoo import find_row, load_rows, zoo_root
from gcp_mm.zoo.rows import select_rows

ROWS = {row.name: row for row in load_rows()}
CLASSIFIERS = [row for row in ROWS.values() if row.task == "classification"]
DETECTORS = [row for row in ROWS.values() if row.task == "detection"]
FINE = [row for row in ROWS.values() if row.task == "fine-grained"]
AP = ("AP", "AP50", "AP75", "APS", "APM", "APL")
SHORT = {"ResNet50": "r50", "ResNet101": "r101"}


@pytest.fixture(scope="module")
def published(shared):
    """Return the cells of the project's record of the published tables, a list for each row."""
    path = shared / "spec/method.md"
    if not path.is_file():
        pytest.skip(f"the record of the published tables is absent: {path}")
    section = path.read_text().split("## 7. Published results")[1].split("## 8.")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def links(row):
    release = row.release
    return [release.google_drive, release.baidu, release.baidu_code] if release else ["-"] * 3


def numbers(row, kind):
    return [f"{row.published[f'{kind} {name}']:.1f}" for name in AP]


def test_the_forty_classifiers_are_those_of_the_published_table(published):
    table = {cells[0].lower(): cells[1:] for cells in published if len(cells) == 6}
    table = {name: cells for name, cells in table.items() if "_lr" in name}
    assert len(table) == 40
    assert table == {
        row.name: [f"{value:.2f}" for value in row.published.values()] + links(row)
        for row in CLASSIFIERS
        if row.name in table
    }


def test_the_twelve_detectors_are_those_of_the_published_tables(published):
    boxes = {
        f"{cells[0].split()[0].lower()}_rcnn_{SHORT[cells[1]]}_{cells[2].lower()}": cells[3:]
        for cells in published
        if len(cells) == 12 and cells[1] in SHORT
    }
    assert len(boxes) == 12
    found = {row.name: numbers(row, "box") + links(row) for row in DETECTORS}
    assert boxes == {name: found[name] for name in boxes}
    masks = {
        f"mask_rcnn_{SHORT[cells[0]]}_{cells[1].lower()}": cells[2:]
        for cells in published
        if len(cells) == 8 and cells[0] in SHORT
    }
    assert len(masks) == 6
    assert masks == {row.name: numbers(row, "mask") for row in DETECTORS if row.name in masks}


def test_name_says_what_a_classifier_is():
    for row in CLASSIFIERS:
        width = "_128" if row.reduced_channels == 128 else ""
        assert row.name == f"{row.backbone}_{row.pooling}_{row.schedule}{width}"
        assert (row.reduced_channels is None) == (row.pooling == "gap") == (not row.pooling_flops)


def test_the_numbers_of_dropcov_are_the_published_ones():
    """README of its authors; that of the port's authors, whose rows have another schedule."""
    found = {
        (row.backbone, row.schedule): row.published
        for row in CLASSIFIERS
        if row.pooling == "dropcov"
    }
    assert found == {
        ("resnet18", "mindspore"): {"Top 1 Accuracy": 73.8},
        ("resnet34", "lrnorm"): {"Top 1 Accuracy": 76.81},
        ("resnet34", "mindspore"): {"Top 1 Accuracy": 76.13},
        ("resnet50", "lrnorm"): {"Top 1 Accuracy": 78.19},
        ("resnet50", "mindspore"): {"Top 1 Accuracy": 77.77},
        ("resnet101", "lrnorm"): {"Top 1 Accuracy": 79.51},
    }
    assert all(
        (row.release is not None) == (row.schedule == "lrnorm")
        for row in CLASSIFIERS
        if row.pooling == "dropcov"
    )


def test_the_fine_grained_numbers_are_the_published_ones():
    found = {row.name: (row.dataset, row.published["Top 1 Accuracy"]) for row in FINE}
    assert found == {
        "resnet50_gcp_cub": ("CUB-200-2011", 88.0),
        "resnet50_gcp_aircraft": ("FGVC-Aircraft", 90.3),
        "resnet50_gcp_cars": ("Stanford Cars", 92.3),
        "resnet101_gcp_cub": ("CUB-200-2011", 88.7),
        "resnet101_gcp_aircraft": ("FGVC-Aircraft", 91.4),
        "resnet101_gcp_cars": ("Stanford Cars", 93.3),
    }


def test_name_says_what_a_detector_is():
    for row in DETECTORS:
        kind = row.detector.split()[0].lower()
        assert row.name == f"{kind}_rcnn_{row.backbone.replace('resnet', 'r')}_{row.pooling}"


@pytest.mark.parametrize("name", ROWS)
def test_config_is_that_of_the_row(name):
    config = pytest.importorskip("mmengine.config")
    row = ROWS[name]
    cfg = config.Config.fromfile(zoo_root() / row.config)
    assert cfg.train_cfg.max_epochs == row.epochs
    covariance = cfg.model.get("neck", {}).get("type") == "gcp_mm.GlobalCovariancePooling"
    assert covariance == (row.pooling in ("gcp", "dropcov"))
    if covariance:
        assert cfg.model.neck.get("method", "gcp") == row.pooling
        assert cfg.model.neck.get("reduced_channels", 256) == row.reduced_channels
    if row.detector:
        assert cfg.model.type == row.detector.replace(" R-CNN", "RCNN")


def test_released_files_differ():
    released = [row.release for row in ROWS.values() if row.release]
    without = {name for name, row in ROWS.items() if row.release is None}
    assert without == {"mask_rcnn_r101_gap", *(row.name for row in FINE)} | {
        f"resnet{depth}_dropcov_mindspore_128" for depth in (18, 34, 50)
    }
    assert len({r.google_drive for r in released}) == len(released) == 54
    # The authors of DropCov have no second place.
    assert len({r.baidu for r in released if r.baidu}) == 51


def test_openmim_reads_the_same_names_and_keeps_what_is_ours(repo):
    load = pytest.importorskip("modelindex.load_model_index").load
    index = load(str(repo / "model-index.yml"))
    index.build_models_with_collections()
    assert {model.name for model in index.models} == set(ROWS)
    (model,) = (model for model in index.models if model.name == "resnet50_gcp_lradju_128")
    assert model.data["Released"]["Baidu Code"] == "xf7g"
    assert model.full_model.metadata.architecture == ["ResNet", "Global Covariance Pooling"]
    # get_model(pretrained=True) would hand this to mmpretrain, and openmim would fetch it.
    assert all(model.weights is None for model in index.models)


def test_measured_numbers_and_digests_are_read(tmp_path, monkeypatch, repo):
    metafile = yaml.safe_load((repo / "configs/imagenet/metafile.yml").read_text())
    entry = dict(Metrics={"Top 1 Accuracy": 1.5}, Command="c", Commit="a1", Date="d", Machine="m")
    model = metafile["Models"][0]
    model.update(Measured=[entry], Released={**model["Released"], "SHA256": "ab", "Size": 7})
    (tmp_path / "meta.yml").write_text(yaml.safe_dump(metafile))
    (tmp_path / "model-index.yml").write_text("Import: [meta.yml]")
    monkeypatch.setattr(gcp_mm.zoo.rows, "zoo_root", lambda: tmp_path)
    row = load_rows.__wrapped__()[0]
    assert (row.release.sha256, row.release.size) == ("ab", 7)
    (measured,) = row.measured
    assert (measured.metrics, measured.command) == ({"Top 1 Accuracy": 1.5}, "c")
    assert (measured.commit, measured.date, measured.machine) == ("a1", "d", "m")


def test_data_that_there_are_not_are_named(tmp_path, monkeypatch, repo):
    content = yaml.safe_load((repo / "configs/finegrained/metafile.yml").read_text())
    content["Models"][0]["Results"][0]["Dataset"] = "ImageNet 1k"
    (tmp_path / "metafile.yml").write_text(yaml.safe_dump(content))
    (tmp_path / "model-index.yml").write_text("Import: [metafile.yml]")
    monkeypatch.setattr(gcp_mm.zoo.rows, "zoo_root", lambda: tmp_path)
    with pytest.raises(UserError, match="'resnet50_gcp_cub'.*'ImageNet 1k'.*COCO.*Stanford Cars"):
        load_rows.__wrapped__()


def test_row_is_found_in_the_spelling_of_its_authors():
    assert find_row("ResNet50_GCP_LRnorm_128").name == "resnet50_gcp_lrnorm_128"


@pytest.mark.parametrize(
    ("name", "close"), [("resnet50_gcp_norm", "resnet50_gcp_lrnorm"), ("vgg", "list")]
)
def test_unknown_row_names_the_closest(name, close):
    with pytest.raises(UserError, match=f"'{name}'") as caught:
        find_row(name)
    assert close in str(caught.value)


def test_absent_metafiles_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(gcp_mm.zoo.rows, "__file__", str(tmp_path / "gcp_mm/zoo/rows.py"))
    with pytest.raises(UserError, match=r"no model-index.yml in .*gcp_mm/.mim"):
        zoo_root()


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"task": "classification"},
        {"task": "detection"},
        {"task": "fine-grained"},
        {"pooling": "dropcov", "schedule": "mindspore"},
        {"backbone": "resnet50"},
        {"pooling": "GCP"},
        {"pooling": "gcpm", "backbone": None},
        {"schedule": "lrfast"},
        {"task": "classification", "backbone": "mobilenetv2", "schedule": "lrnorm"},
    ],
)
def test_rows_are_those_with_the_values_and_no_others(wanted):
    chosen = select_rows(load_rows(), **wanted)
    values = {name: value.lower() for name, value in wanted.items() if value}
    expected = [
        row
        for row in load_rows()
        if {name: getattr(row, name) for name in values}.items() == values.items()
    ]
    assert list(chosen) == expected and expected


def test_unknown_value_lists_the_valid_ones():
    known = "lrnorm, lrfast, lradju, mindspore, 1x, finetune"
    with pytest.raises(UserError, match=f"--schedule fast: expected .* {known}$"):
        select_rows(load_rows(), schedule="fast")


def test_nothing_left_names_the_values():
    with pytest.raises(UserError, match="backbone resnet18, pooling gcpm"):
        select_rows(load_rows(), backbone="resnet18", pooling="gcpm")
