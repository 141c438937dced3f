"""The transform, and that every part of the package sees the pixels that it gives."""

import copy
import logging
import pickle
from itertools import pairwise
from multiprocessing.reduction import ForkingPickler
from threading import Thread

import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import TRANSFORMS, DefaultScope
from PIL import Image
from torch import multiprocessing
from torch.utils.data import DataLoader

from gcp_mm.datasets import ClassFolder, ImageNetC
from gcp_mm.errors import UserError
from gcp_mm.images.load_image import LoadImage, SharedFlags
from gcp_mm.images.read_image import read_image
from gcp_mm.robustness.corrupt.images import read_source

SIDE = 48
RAMP = np.linspace(0, 1, SIDE)[:, None] * np.linspace(0.2, 1, SIDE)
RGB = Image.fromarray((np.stack([RAMP, RAMP[::-1], 0.4 * RAMP], -1) * 255).astype(np.uint8))


def save_turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    RGB.save(path, exif=exif)


KINDS = {
    "16 bits.png": lambda path: Image.fromarray((RAMP * 65535).astype(np.uint16)).save(path),
    "palette.png": lambda path: RGB.quantize(16).save(path, transparency=2),
    "alpha.png": lambda path: Image.merge("RGBA", (*RGB.split(), RGB.getchannel(0))).save(path),
    "grey alpha.png": lambda path: Image.merge("LA", RGB.split()[:2]).save(path),
    "cmyk.jpg": lambda path: RGB.convert("CMYK").save(path),
    "turned.jpg": save_turned,
    "animation.gif": lambda path: RGB.save(path, save_all=True, append_images=[RGB.rotate(90)]),
    "1 bit.tif": lambda path: RGB.convert("1").save(path),
    "plain.jpg": lambda path: RGB.save(path),
}


@pytest.fixture
def saved(tmp_path):
    """Return a function that saves a file of a kind in a class folder."""

    def save(kind):
        path = tmp_path / "data" / "cat" / kind
        path.parent.mkdir(parents=True, exist_ok=True)
        KINDS[kind](path)
        return path

    return save


@pytest.fixture
def warnings(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [row.getMessage() for row in caplog.records if row.levelno == logging.WARNING]
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize("scope", ["mmpretrain", "mmdet"])
def test_any_scope_builds_it(saved, scope):
    path = saved("turned.jpg")
    with DefaultScope.overwrite_default_scope(scope):
        load = TRANSFORMS.build(dict(type="gcp_mm.LoadImage", to_float32=True))
    sample = load({"img_path": str(path)})
    assert sample["img"].dtype == np.float32
    assert sample["img_shape"] == sample["ori_shape"] == (SIDE, SIDE)
    assert np.array_equal(sample["img"], read_image(path)[..., ::-1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_sees_the_same_pixels(saved, small_classifier, tmp_path, kind):
    path = saved(kind)
    expected = read_image(path)
    cell = tmp_path / "fog" / "1" / "cat"
    cell.mkdir(parents=True)
    (cell / kind).write_bytes(path.read_bytes())
    load = small_classifier.test_dataloader.dataset.pipeline[0]
    data = ClassFolder(
        data_root=str(tmp_path / "data"), pipeline=[load, dict(type="PackInputs")], test_mode=True
    )
    tree = ImageNetC(tmp_path, ["fog"], [1], classes=["cat"], input_size=SIDE)
    found = {
        "data set": data[0]["inputs"].permute(1, 2, 0).numpy()[..., ::-1],
        "corruption": np.asarray(read_source(path, None)),
        "cell": tree.read("fog/1", 0)[..., ::-1],
        "export": exported(small_classifier, path),
        "inferencer": inferred(small_classifier, path),
    }
    assert [name for name, image in found.items() if not np.array_equal(image, expected)] == []


@pytest.fixture(scope="module")
def small_classifier(classifier) -> Config:
    """The config of a small network whose pipeline only loads."""
    cfg = Config.fromfile(classifier)
    pipeline = [dict(type="gcp_mm.LoadImage"), dict(type="PackInputs")]
    for loader in ("test_dataloader", "val_dataloader"):
        cfg[loader].dataset.pipeline = pipeline
    return cfg


def exported(cfg, path):
    from mmpretrain.registry import MODELS

    from gcp_mm.export.images import prepare_image

    network = MODELS.build(dict(cfg.model, data_preprocessor=dict(to_rgb=True, num_classes=3)))
    image = prepare_image(cfg, path, network, normalise=False)
    return image[0].permute(1, 2, 0).numpy()


def inferencer_of(cfg):
    from mmpretrain import ImageClassificationInferencer
    from mmpretrain.registry import MODELS

    network = MODELS.build(dict(cfg.model))
    network._config = cfg
    return ImageClassificationInferencer(network)


def inferred(cfg, path):
    inferencer = inferencer_of(cfg)
    (batch,) = inferencer.preprocess([str(path)])
    # An array is taken as it is.
    (again,) = inferencer.preprocess([read_image(path, order="bgr")], batch_size=1)
    assert torch.equal(batch["inputs"], again["inputs"])
    return batch["inputs"][0].permute(1, 2, 0).numpy()[..., ::-1]


def test_the_inferencer_leaves_other_pipelines_alone(small_classifier, saved):
    cfg = Config(small_classifier.to_dict())
    cfg.test_dataloader.dataset.pipeline[0] = dict(type="LoadImageFromFile")
    path = saved("cmyk.jpg")
    expected = LoadImageFromFile()({"img_path": str(path)})["img"]
    (batch,) = inferencer_of(cfg).preprocess([str(path)])
    assert np.array_equal(batch["inputs"][0].permute(1, 2, 0).numpy(), expected)


def paths_of(samples):
    return [sample["img_path"] for sample in samples]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_surprise_is_told_once(tmp_path, capfd, workers):
    logger = MMLogger.get_instance(f"told{workers}")
    MMLogger._instance_dict[logger.instance_name] = logger
    folder = tmp_path / "cat"
    folder.mkdir()
    for number in range(6):
        KINDS["alpha.png"](folder / f"{number}.png")
    data = ClassFolder(data_root=str(tmp_path), pipeline=[dict(type="gcp_mm.LoadImage")])
    capfd.readouterr()
    seen = [
        name
        for names in DataLoader(data, num_workers=workers, collate_fn=paths_of)
        for name in names
    ]
    assert len(seen) == 6
    output = "".join(capfd.readouterr())
    assert output.count("is partly transparent") == 1


@pytest.mark.parametrize(
    ("kind", "load", "told"),
    [
        ("16 bits.png", dict(imdecode_backend="pillow"), "levels of 255 apart"),
        ("16 bits.png", dict(), None),
        ("grey alpha.png", dict(imdecode_backend="pillow"), "levels of 255 apart"),
        ("cmyk.jpg", dict(), None),
        ("turned.jpg", dict(), None),
        ("turned.jpg", dict(color_type="color_ignore_orientation"), None),
        ("turned.jpg", dict(color_type="unchanged"), "levels of 255 apart"),
        ("plain.jpg", dict(imdecode_backend="pillow"), None),
    ],
)
def test_a_plain_loader_that_reads_otherwise_is_told(saved, tmp_path, warnings, kind, load, told):
    path = saved(kind)
    data = ClassFolder(
        data_root=str(tmp_path / "data"), pipeline=[dict(type="LoadImageFromFile", **load)]
    )
    for _ in range(2):
        data[0]
    lines = [line for line in warnings() if "gcp_mm.LoadImage" in line]
    assert len(lines) == (told is not None)
    if told:
        assert told in lines[0] and repr(str(path)) in lines[0]


def test_another_backend_is_refused():
    with pytest.raises(UserError, match="imdecode_backend='turbojpeg' is none of pillow, cv2"):
        LoadImage(imdecode_backend="turbojpeg")


def copied(flags):
    return copy.deepcopy(flags)


def pickled(flags):
    return pickle.loads(pickle.dumps(flags))


def same(flags):
    return flags


def set_two(flags, index):
    flags.set(index)
    flags.set(7)


def test_a_flag_is_new_once():
    flags = SharedFlags(5)
    assert flags.indices() == []
    assert [flags.set(3), flags.set(1), flags.set(3)] == [True, True, False]
    assert flags.indices() == [1, 3]


def test_flags_are_listed_while_others_set_them():
    flags = SharedFlags(5000)
    setting = Thread(target=lambda: [flags.set(index) for index in range(5000)])
    setting.start()
    seen = [flags.indices()]
    while setting.is_alive():
        seen.append(flags.indices())
    setting.join()
    assert len(seen) > 1
    assert all(set(before) <= set(after) for before, after in pairwise(seen))
    assert flags.indices() == list(range(5000))


@pytest.mark.parametrize("prepare", [same, copied, pickled])
def test_forked_processes_set_the_same_flags(prepare):
    flags = SharedFlags(10)
    flags.set(0)
    flags = prepare(flags)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=set_two, args=(flags, index)) for index in (2, 5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert flags.indices() == [0, 2, 5, 7]


def test_torch_hands_over_the_same_flags_to_spawned_processes():
    flags = SharedFlags(3)
    other = ForkingPickler.loads(ForkingPickler.dumps(flags))
    other.set(1)
    assert flags.indices() == [1]


@pytest.mark.parametrize("prepare", [copied, pickled])
def test_a_copy_has_flags_of_its_own(prepare):
    flags = SharedFlags(3)
    other = prepare(flags)
    other.set(1)
    assert flags.indices() == []
