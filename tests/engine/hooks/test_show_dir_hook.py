"""Where the drawn images are written, and which pixels they show."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from gcp_mm.engine.hooks import ShowDirHook
from gcp_mm.errors import UserError

COLOURS = np.array([[[250, 10, 20]] * 40] * 30, np.uint8)


class Classifies:
    """Stands for mmpretrain's visualizer: writes what it is given."""

    def visualize_cls(self, image, data_sample, name, out_file, **options):
        self.options = options
        write(image, out_file)


class Detects:
    """Stands for mmdet's visualizer."""

    def add_datasample(self, name, image, data_sample, out_file, **options):
        self.options = options
        write(image, out_file)


def write(image, out_file):
    from mmcv import imwrite

    assert imwrite(image[..., ::-1], out_file)


@pytest.fixture
def images(tmp_path):
    """Return paths of images with equal base names."""
    paths = [
        *("val/a/1.png", "val/b/1.png", "val/b/deep/1.png", "val/a/2.pgm", "val/a/2.jpg"),
        "val/a/2.gif",
    ]
    for name in paths:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(COLOURS).save(tmp_path / name)
    return [str(tmp_path / name) for name in paths]


def run(hook, visualizer, images, batch=4, listed=True):
    infos = [{"img_path": path} for path in images]
    dataset = Data(infos) if listed else []
    model = SimpleNamespace(data_preprocessor=SimpleNamespace(to_rgb=True))
    runner = SimpleNamespace(
        visualizer=visualizer,
        model=model,
        test_dataloader=SimpleNamespace(dataset=dataset),
    )
    hook.before_test(runner)
    for start in range(0, len(images), batch):
        samples = [{"img_path": p, "ori_shape": (30, 40)} for p in images[start : start + batch]]
        inputs = [torch.from_numpy(COLOURS[..., ::-1].copy()).permute(2, 0, 1) for _ in samples]
        hook.after_test_iter(runner, start // batch, {"inputs": inputs}, samples)


class Data(list):
    """A data set that knows the paths of its images."""

    def get_data_info(self, index):
        return self[index]


@pytest.mark.parametrize("kind", [Classifies, Detects])
def test_every_image_is_written_into_its_folder_in_its_colours(images, tmp_path, kind):
    run(ShowDirHook(str(tmp_path / "shown")), kind(), images)
    shown = {str(path.relative_to(tmp_path / "shown")) for path in files(tmp_path / "shown")}
    assert shown == {
        *("a/1.png", "b/1.png", "b/deep/1.png", "a/2.pgm.png", "a/2.jpg", "a/2.gif.png"),
    }
    for path in files(tmp_path / "shown"):
        assert np.abs(cv2.imread(str(path))[..., ::-1].astype(int) - COLOURS).max() < 12


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_data_sets_that_name_no_paths_get_a_file_for_each_image(images, tmp_path):
    run(ShowDirHook(str(tmp_path / "shown")), Classifies(), images, listed=False)
    names = sorted(path.name for path in files(tmp_path / "shown"))
    assert names == ["1.png", "1_1.png", "1_2.png", "2.gif.png", "2.jpg", "2.pgm.png"]


def test_the_folder_of_the_images_is_refused(images, tmp_path):
    with pytest.raises(UserError, match="the drawn ones would replace"):
        run(ShowDirHook(str(tmp_path / "val")), Detects(), images)


def test_options_of_the_config_are_those_of_drawing(images, tmp_path):
    options = dict(draw=False, interval=50, score_thr=0.5, test_out_dir="x", backend_args=None)
    visualizer = Detects()
    run(ShowDirHook(str(tmp_path / "shown"), **options), visualizer, images[:1])
    assert visualizer.options == {"pred_score_thr": 0.5}


def test_detections_are_drawn_on_the_image_that_the_pipeline_saw(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "val" / "turned.jpg"
    path.parent.mkdir()
    Image.fromarray(COLOURS).save(path, exif=exif)
    for shape in ((30, 40), (40, 30)):
        hook, visualizer = ShowDirHook(str(tmp_path / "shown")), Detects()
        runner = SimpleNamespace(
            visualizer=visualizer, test_dataloader=SimpleNamespace(dataset=Data())
        )
        hook.before_test(runner)
        hook.after_test_iter(runner, 0, {}, [{"img_path": str(path), "ori_shape": shape}])
        assert cv2.imread(str(tmp_path / "shown/turned.jpg")).shape[:2] == shape
