"""Every tool takes data, configs, weights and results in folders of any name."""

import json
import pickle
import shutil

import pytest
import torch
from mmengine.config import Config
from random_weights import randomise
from tiny_runs import CLASSIFIER, DETECTOR, forget_runs, write_config

from gcp_mm.landscape.curvature import EstimatedSpectrum

# One stage, and batch norm, of which curvature can be computed (group norm has no second derivative
# in forward mode). In one file: what a config is based on is found beside it.
SMALL = CLASSIFIER.replace(
    "stem_channels=16,",
    "stem_channels=16, num_stages=1, strides=[1], dilations=[1], out_indices=[0],",
).replace(
    "in_channels=128, reduced_channels=16, norm_cfg=dict(type='GN', num_groups=4)",
    "in_channels=16, reduced_channels=16, norm_cfg=dict(type='BN')",
)
assert "num_stages" in SMALL and "type='BN'" in SMALL

# Blanks, quotes, what shells, formats, mmengine's configs and lists mean something by, and letters
# that LC_ALL=C has not; and in it a folder with a newline.
ODD = "-a  'b' \"c\" $HOME 100%d %s {x} {} {{ fileDirname }} [1], (2) = \\n \\ ; # ~ é猫"


@pytest.fixture
def folder(tmp_path):
    """Return an empty folder with an odd name."""
    path = tmp_path / ODD / "a\nb"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def net(folder, class_folders, repo):
    """Return config and weights of a classifier, with its data beside them."""
    from mmpretrain.registry import MODELS

    import gcp_mm.registry  # noqa: F401  (its models)

    shutil.copytree(class_folders / "train", folder / "data" / "train")
    shutil.copytree(class_folders / "val", folder / "data" / "val")
    config = write_config(folder / "net.py", SMALL, repo=repo, data="/nowhere")
    network = randomise(MODELS.build(dict(Config.fromfile(config).model)))
    weights = folder / "epoch_1.pth"
    torch.save({"meta": {"epoch": 1, "iter": 4}, "state_dict": network.state_dict()}, weights)
    return config, weights, folder


def roots(folder, name="data"):
    return [f"{split}_dataloader.dataset.data_root={folder / name}" for split in SPLITS]


SPLITS = ("train", "val", "test")


def held(code, output, errors):
    assert code == 0, output + errors
    return output


def test_train_test_and_compare(call_tool, net):
    config, _, folder = net
    options = ["--cfg-options", *roots(folder), "train_cfg.max_epochs=1"]
    work = folder / "work"
    held(*call_tool("tools/train.py", config, "--work-dir", work, *options))
    (best,) = work.glob("best_*.pth")
    out = folder / "o.pkl"
    shown = folder / "shown"
    held(
        *call_tool(
            *("tools/test.py", config, best, "--work-dir", work, "--out", out),
            *("--show-dir", shown, *options),
        )
    )
    assert len(pickle.loads(out.read_bytes())) == 7
    assert len(list(shown.rglob("*.png"))) == 7
    files = folder / "fig.svg", folder / "numbers.json"
    held(*call_tool("tools/compare_runs.py", work, "--figure", files[0], "--json", files[1]))
    assert json.loads(files[1].read_text()) and files[0].stat().st_size
    resumed = [*options[:-1], "train_cfg.max_epochs=2"]
    held(*call_tool("tools/train.py", config, "--work-dir", work, "--resume", *resumed))
    assert (work / "epoch_2.pth").is_file()


@pytest.mark.training
def test_landscape(call_tool, net, monkeypatch):
    pytest.importorskip("curvlinops", reason="the extra gcp_mm[landscape] is not installed")
    # Dozens of products with the Hessian, which are tried elsewhere.
    spectrum = {"eigenvalues": [1.0], "smallest_eigenvalue": -1.0}
    monkeypatch.setattr(EstimatedSpectrum, "eigenvalues", lambda self, top: spectrum)
    config, _, folder = net
    options = ["--cfg-options", *roots(folder), "train_cfg.max_epochs=1"]
    tool = "tools/landscape.py"
    work = folder / "work"
    small = ["--batches", 1, "--batch-size", 2]
    held(*call_tool(tool, "run", config, "--work-dir", work, *options))
    weights = work / "epoch_1.pth"
    probe = folder / "probe.jsonl"
    steps = ["--etas", 0.1, 2, 3]
    held(*call_tool(tool, "probe", config, weights, "--out", probe, *steps, *small, *options))
    line = folder / "line.json"
    held(
        *call_tool(tool, "surface", config, weights, "--out", line, "--points", 3, *small, *options)
    )
    hessian = folder / "hessian.json"
    few = ["--top", 1, "--trace-samples", 2, "--lanczos-steps", 2]
    arguments = (config, weights, "--out", hessian, *few, *small, *options)
    held(*call_tool(tool, "curvature", *arguments))
    assert "density" in json.loads(hessian.read_text())["results"]
    for file, name in (
        (work / "landscape.jsonl", "run"),
        (probe, "probe"),
        (line, "line"),
        (hessian, "hessian"),
    ):
        before = set(folder.rglob("*"))
        arguments = (file, "--out", folder / name, "--formats", "svg")
        output = held(*call_tool(tool, "plot", *arguments))
        written = set(folder.rglob("*")) - before
        assert written and all(str(path) in output for path in written if path.is_file())


@pytest.mark.slow
def test_export(call_tool, net):
    pytest.importorskip("onnx")
    config, weights, folder = net
    image = next((folder / "data/val").rglob("*.png"))
    held(
        *call_tool(
            *("tools/export.py", config, weights, folder / "net.onnx", "--input-size", 32),
            *("--image", image, "--cfg-options", *roots(folder)),
        )
    )
    assert (folder / "net.onnx").is_file()


@pytest.mark.filterwarnings("ignore:.* out of bounds")
def test_detector(call_tool, folder, scenes, repo):
    shutil.copytree(scenes, folder / "scenes")
    config = write_config(folder / "det.py", DETECTOR, repo=repo, data="/nowhere", pretrained="/no")
    annotations = [
        f"{split}_evaluator.ann_file={folder}/scenes/annotations/instances_val2017.json"
        for split in ("val", "test")
    ]
    options = ["--cfg-options", *roots(folder, "scenes"), *annotations]
    options += ["model.backbone.init_cfg=None"]
    work = folder / "work"
    held(*call_tool("tools/train.py", config, "--work-dir", work, *options))
    out = folder / "o.pkl"
    held(
        *call_tool(
            *("tools/test.py", config, work / "epoch_1.pth", "--work-dir", work, "--out", out),
            *("--show-dir", folder / "shown", *options),
        )
    )
    assert len(pickle.loads(out.read_bytes())) == 2
    assert len(list((folder / "shown").rglob("*.jpg"))) == 2
    from mmdet.apis import DetInferencer

    shown = folder / "inferred"
    image = next((folder / "scenes/val2017").iterdir())
    inferencer = DetInferencer(str(config), str(work / "epoch_1.pth"), device="cpu")
    inferencer(str(image), out_dir=str(shown), no_save_pred=False)
    forget_runs()
    assert (shown / "vis" / image.name).is_file()
    assert list((shown / "preds").glob("*.json"))
