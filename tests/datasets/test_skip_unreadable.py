import copy
import pickle
import shutil
from pathlib import Path

import pytest
from tiny_runs import only_error, read_log
from torch.utils.data import DataLoader

from datasets.conftest import BROKEN
from gcp_mm.datasets import ClassFolder, ImageNet
from gcp_mm.errors import UserError

BACKENDS = ["pillow", "cv2"]


@pytest.fixture
def build(split):
    """Return a function that builds a data set of the photos, without augmentation."""

    def dataset(cls=ClassFolder, backend="pillow", steps=(), **options):
        if cls is ImageNet:
            options["allow_missing"] = True
        load = dict(type="LoadImageFromFile", imdecode_backend=backend)
        return cls(data_root=str(split), pipeline=[load, *steps], **options)

    return dataset


def index_of(dataset, path) -> int:
    paths = [dataset.get_data_info(index)["img_path"] for index in range(len(dataset))]
    return paths.index(path)


def fail(sample):
    """Stand for a transform with a bug."""
    raise OSError("a bug")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cls", [ClassFolder, ImageNet])
def test_readable_images_are_what_they_were(build, cls, backend, log):
    dataset = build(cls, backend, max_unreadable=0)
    assert [dataset[index]["img"].shape for index in range(4)] == [(96, 96, 3)] * 4
    assert log() == []


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", BROKEN)
def test_training_takes_another_image_and_names_the_file(build, spoil, log, name, backend):
    (path,) = spoil(name)
    dataset = build(backend=backend, max_unreadable=1)
    index = index_of(dataset, path)
    for _ in range(3):
        sample = dataset[index]
        assert sample["img"].shape == (96, 96, 3)
        assert sample["img_path"] != path
    (line,) = log()
    assert repr(path) in line and "1 of at most 1" in line


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("cls", [ClassFolder, ImageNet])
def test_evaluation_stops_and_names_the_file(build, spoil, cls, name, backend):
    (path,) = spoil(name)
    dataset = build(cls, backend, test_mode=True)
    with pytest.raises(UserError) as error:
        dataset[index_of(dataset, path)]
    assert repr(path) in str(error.value)
    assert "Evaluation skips no image" in str(error.value)


def test_a_missing_file_is_named(build, split):
    dataset = build(test_mode=True)
    path = dataset.get_data_info(2)["img_path"]
    (split / path).unlink()
    with pytest.raises(UserError, match="no such file.*Evaluation skips no image") as error:
        dataset[2]
    assert repr(path) in str(error.value)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_training_stops_at_one_file_too_many(build, spoil, limit):
    paths = sorted(spoil(*BROKEN))
    dataset = build(max_unreadable=limit)
    for path in paths[:limit]:
        assert dataset.prepare_data(index_of(dataset, path)) is None
    with pytest.raises(UserError) as error:
        dataset[index_of(dataset, paths[limit])]
    message = str(error.value)
    assert message.startswith(f"{limit + 1} images cannot be read, and max_unreadable={limit} ")
    assert f"The last one: {paths[limit]!r}" in message
    assert [path for path in paths if path in message] == paths[: limit + 1]


@pytest.mark.parametrize("limit", [None, -1, 2.5, "3", True])
def test_limit_that_is_no_number_of_files_is_refused(build, limit):
    with pytest.raises(UserError, match=f"max_unreadable={limit!r} of the data set: give"):
        build(max_unreadable=limit)


def test_training_stops_where_no_image_is_left(build, spoil):
    paths = spoil(*BROKEN)
    whole = build()
    dataset = whole.get_subset([index_of(whole, path) for path in paths])
    with pytest.raises(UserError, match="4 images cannot be read, and the data set has no others"):
        dataset[0]


@pytest.mark.parametrize("test_mode", [False, True])
def test_a_bug_of_a_later_transform_stays_one(build, test_mode, log):
    dataset = build(steps=[fail], test_mode=test_mode)
    with pytest.raises(OSError, match="^a bug$"):
        dataset[0]
    assert log() == []


def unpickle(dataset):
    return pickle.loads(pickle.dumps(dataset))


def subset(dataset):
    # More samples than the data set has.
    return dataset.get_subset([*range(8), *range(8)])


def subset_in_place(dataset):
    dataset.get_subset_([*range(8), *range(8)])
    return dataset


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [lambda dataset: dataset, copy.deepcopy, unpickle, subset, subset_in_place]
)
def test_workers_count_together(build, spoil, change):
    spoil(*BROKEN)
    dataset = change(build())
    names = [Path(dataset.get_data_info(i)["img_path"]).name for i in range(len(dataset))]
    broken = [index for index, name in enumerate(names) if name in BROKEN]
    loader = DataLoader(
        dataset, num_workers=2, collate_fn=only_paths, persistent_workers=True, shuffle=True
    )
    # All samples are seen in each of the epochs, by one worker or the other.
    loader.dataset.max_unreadable = len(broken)
    for _ in range(2):
        paths = [Path(path).name for paths in loader for path in paths]
        assert len(paths) == len(dataset) and not set(paths) & set(BROKEN)
    assert dataset._unreadable.indices() == broken


@pytest.mark.slow
def test_workers_stop_together(build, spoil):
    spoil(*BROKEN)
    batches = iter(DataLoader(build(max_unreadable=3), num_workers=2, collate_fn=only_paths))
    with pytest.raises(UserError, match="4 images cannot be read"):
        list(batches)
    # Garbage collection would wait 5 s for the workers.
    batches._shutdown_workers()


def only_paths(samples):
    return [sample["img_path"] for sample in samples]


@pytest.fixture
def spoilt(classifier, class_folders, tmp_path):
    """Return a function that cuts an image short: its path, and the arguments of tools/train.py."""

    def spoil(split, limit, workers):
        shutil.copytree(class_folders, tmp_path / "data", ignore=shutil.ignore_patterns("*.py"))
        path = tmp_path / "data" / split / "class_1" / "01.png"
        path.write_bytes(path.read_bytes()[:100])
        key, is_val = f"{split}_dataloader", split == "val"
        return str(path), [
            *("tools/train.py", classifier, "--work-dir", tmp_path / "run"),
            *("--cfg-options", "train_cfg.max_epochs=1", f"{key}.num_workers={workers}"),
            *(f"{key}.dataset.type=gcp_mm.ClassFolder", f"{key}.dataset.max_unreadable={limit}"),
            *(f"{key}.dataset.data_root={tmp_path / 'data'}", f"{key}.dataset.test_mode={is_val}"),
        ]

    return spoil


def test_tool_skips_an_image_in_training(call_tool, spoilt, tmp_path):
    path, arguments = spoilt("train", limit=1, workers=0)
    code, _, errors = call_tool(*arguments)
    assert code == 0, errors
    assert f"skipped {path!r}" in read_log(tmp_path / "run")


def test_tool_names_an_image_in_validation(call_tool, spoilt):
    path, arguments = spoilt("val", limit=1, workers=0)
    assert repr(path) in only_error(*call_tool(*arguments))


def test_tool_prints_the_error_of_a_worker(run_loaded, spoilt):
    path, arguments = spoilt("train", limit=0, workers=2)
    process = run_loaded(*arguments)
    line = only_error(process.returncode, process.stdout, process.stderr)
    assert line.startswith("error: 1 images cannot be read") and repr(path) in line
