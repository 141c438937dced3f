"""What is built, installed and found by openmim."""

import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

import gcp_mm
import gcp_mm.ops
from gcp_mm.zoo import load_rows
from wheels.conftest import below

KERNELS = "gcp_mm/ops/cpu_kernels"
CONFIG = "resnet18_gcp_lrnorm"
# The smallest network with covariance pooling.
SMALL = "mobilenetv2_gcp_lrnorm_128"


def test_wheel_holds_the_package_the_configs_and_the_tools(wheel, repo):
    names = set(wheel.namelist())
    extra = {f"gcp_mm/.mim/{name}" for name in below(repo, "configs", "tools")}
    assert {
        "gcp_mm/.mim/configs/mask_rcnn_r50_gcpm.py",
        "gcp_mm/.mim/configs/reproduction/quick.yml",
        "gcp_mm/.mim/tools/train.py",
        "gcp_mm/.mim/tools/dist_train.sh",
    } <= extra
    metadata = {name for name in names if ".dist-info/" in name}
    suffixes = (".py", ".txt", ".json", ".c", ".h", ".html", ".css", ".js")
    package = set().union(*(below(repo, "gcp_mm", suffix=suffix) for suffix in suffixes))
    others = {
        *("gcp_mm/.mim/model-index.yml", "gcp_mm/py.typed", f"{KERNELS}/_kernels.so"),
        *("gcp_mm_mmcv_ext.pth", "_gcp_mm_mmcv_finder.py"),
    }
    assert names - metadata == package | extra | others


def test_names_of_the_wheel_say_what_is_in_it(wheel, wheel_file, tmp_path):
    machine = platform.machine()
    tag = f"py3-none-manylinux_2_28_{machine}"
    assert wheel_file.name == f"gcp_mm-{gcp_mm.__version__}-{tag}.whl"
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/WHEEL"))
    lines = wheel.read(name).decode().splitlines()
    assert {f"Tag: {tag}", "Root-Is-Purelib: false"} <= set(lines)
    # By binutils, which setup.py does not use.
    readelf = shutil.which("readelf") or pytest.skip("no readelf")
    library = wheel.extract(f"{KERNELS}/_kernels.so", tmp_path)
    run = dict(check=True, capture_output=True, text=True)
    needs = subprocess.run([readelf, "-W", "--version-info", library], **run).stdout
    versions = {
        tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_([\d.]+)", needs)
    }
    assert (2, 2) < max(versions) <= (2, 28)
    dynamic = subprocess.run([readelf, "-W", "--dynamic", library], **run).stdout
    linked = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    assert linked and set(linked) <= {"libc.so.6", "libm.so.6"}


USE_LAYER = """
import sys
import torch
import gcp_mm.ops as ops
assert not [name for name in sys.modules if name.startswith(("mmcv", "mmengine", "mmdet"))]
x = torch.rand(2, 6, 3, 3, generator=torch.Generator().manual_seed(0))
print(ops.__file__, ops.explain(x))
print(*ops.global_covariance_pool(x).flatten().tolist())
"""


def test_wheel_without_a_compiler_is_pure_and_works(build_wheel, run_warm, tmp_path):
    (tmp_path / "empty").mkdir()
    path = build_wheel(PATH=str(tmp_path / "empty"))
    assert path.name == f"gcp_mm-{gcp_mm.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert not [name for name in names if name.endswith(".so") or ".data/" in name]
    (name,) = (name for name in names if name.endswith(".dist-info/WHEEL"))
    assert "Root-Is-Purelib: true" in (tmp_path / "site" / name).read_text()
    process = run_warm("-c", USE_LAYER, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    said, values = process.stdout.splitlines()
    assert said.startswith(str(tmp_path / "site"))
    assert "they were not compiled; where GCC is" in said
    x = torch.rand(2, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    found = torch.tensor([float(value) for value in values.split()]).view(2, -1)
    torch.testing.assert_close(found, gcp_mm.ops.global_covariance_pool(x, impl="reference"))


def test_wheel_says_what_it_is(wheel):
    (folder,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    assert folder == f"gcp_mm-{gcp_mm.__version__}.dist-info"
    # openmim asks for this file to find a package's folder.
    assert wheel.read(f"{folder}/top_level.txt").split() == [b"gcp_mm"]
    assert any(name.endswith("/LICENSE") for name in wheel.namelist())


def test_config_of_the_wheel_can_be_read(site):
    config = pytest.importorskip("mmengine.config")
    path = site / f"gcp_mm/.mim/configs/imagenet/{CONFIG}.py"
    assert config.Config.fromfile(path).model.backbone.depth == 18


# What a user of the wheel does, in a folder of his own; the weights are those of the model.
USE_MODELS = """
import sys
import gcp_mm, mmpretrain, torch
names = mmpretrain.list_models("*gcp*")
torch.manual_seed(0)
network = mmpretrain.get_model("{name}")
with torch.no_grad():
    # A network that is not trained scores all classes alike.
    network.head.fc.bias.zero_()
    network.head.fc.weight.div_(network(torch.randn(1, 3, 224, 224)).std())
torch.save(dict(state_dict=network.state_dict()), "weights.pth")
inferencer = mmpretrain.ImageClassificationInferencer("{name}", pretrained="weights.pth")
(result,) = inferencer(sys.argv[1])
config = network._config.filename
found = dict(package=gcp_mm.__file__, names=names, config=config, label=result["pred_class"])
torch.save(dict(found, scores=result["pred_scores"].tolist()), "found.pth")
"""


def test_models_of_the_wheel_are_known_to_mmpretrain(site, run_warm, shared, tmp_path):
    mmpretrain = pytest.importorskip("mmpretrain")
    transforms = pytest.importorskip("torchvision.transforms")
    categories = pytest.importorskip("mmpretrain.datasets.categories")
    image = min((shared / "data/imagenette224").rglob("*.JPEG"))
    process = run_warm(
        "-c", USE_MODELS.format(name=SMALL), image, cwd=tmp_path, PYTHONPATH=str(site)
    )
    assert process.returncode == 0, process.stderr
    found = torch.load(tmp_path / "found.pth")
    assert found["package"] == str(site / "gcp_mm/__init__.py")
    assert found["names"] == sorted(
        row.name for row in load_rows() if (row.task, row.pooling) == ("classification", "gcp")
    )
    assert found["config"] == str(site / f"gcp_mm/.mim/configs/imagenet/{SMALL}.py")
    # The same image through torchvision's transforms and the bare network.
    normalise = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    parts = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), normalise]
    network = mmpretrain.get_model(SMALL)
    network.load_state_dict(torch.load(tmp_path / "weights.pth")["state_dict"])
    with Image.open(image) as picture, torch.no_grad():
        logits = network(transforms.Compose(parts)(picture.convert("RGB"))[None])
    expected = logits.softmax(1)[0]
    torch.testing.assert_close(torch.tensor(found["scores"]), expected, rtol=1e-3, atol=1e-7)
    assert expected.max() > 2 * expected.min()
    assert found["label"] == categories.IMAGENET_CATEGORIES[int(expected.argmax())]


def test_metafiles_describe_configs_that_exist(repo):
    yaml = pytest.importorskip("yaml")
    index = yaml.safe_load((repo / "model-index.yml").read_text())["Import"]
    assert {Path(path) for path in index} == {
        path.relative_to(repo) for path in (repo / "configs").rglob("metafile.yml")
    }
    names = []
    for path in index:
        content = yaml.safe_load((repo / path).read_text())
        collections = {collection["Name"] for collection in content["Collections"]}
        for model in content["Models"]:
            assert (repo / model["Config"]).is_file()
            assert Path(model["Config"]).stem == model["Name"]
            assert model["In Collection"] in collections
            assert all({"Task", "Dataset", "Metrics"} <= set(row) for row in model["Results"])
            names.append(model["Name"])
    assert len(set(names)) == len(names) > 2


def test_names_of_configs_are_unique(repo):
    # openmim looks for a name in all folders and refuses two hits.
    names = Counter(Path(name).name for name in below(repo, "configs", suffix=".py"))
    assert [name for name, number in names.items() if number > 1] == []


@pytest.fixture(scope="module")
def installed():
    try:
        importlib.metadata.distribution("gcp_mm")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("gcp_mm is not installed")


@pytest.fixture
def mim(installed, run_tool, tmp_path):
    """Run openmim in an empty folder."""
    command = Path(sys.executable).with_name("mim")
    if not command.exists():
        pytest.skip("openmim is not installed")

    def run(*arguments, **env):
        process = run_tool(command, *arguments, cwd=tmp_path, **env)
        return process.stdout + process.stderr

    return run


def test_mim_finds_the_models(mim, site, finds_wheels):
    output = mim("search", "gcp_mm", "--model", "GCP ResNet", PYTHONPATH=str(site))
    assert output.count("config id: ") == 14
    assert f"configs/imagenet/{CONFIG}.py" in output
    assert "75.48" in output


def test_mim_finds_every_row_and_its_fields(mim, site, finds_wheels):
    output = mim("search", "gcp_mm", PYTHONPATH=str(site))
    names = [line.split()[-1] for line in output.splitlines() if "config id: " in line]
    assert names == [row.name for row in load_rows()]
    output = mim(
        *("search", "gcp_mm", "--condition", "epochs==50", "--field", "pooling", "parameters"),
        PYTHONPATH=str(site),
    )
    assert output.count("config id: ") == 9
    assert "32027432" in output


def test_config_by_package_name(installed, tmp_path):
    pytest.importorskip("gcp_mm.registry")
    config = pytest.importorskip("mmengine.config")
    (tmp_path / "net.py").write_text(f"_base_ = 'gcp_mm::imagenet/{CONFIG}.py'")
    assert config.Config.fromfile(tmp_path / "net.py").model.backbone.type == "gcp_mm.GCPResNet"
