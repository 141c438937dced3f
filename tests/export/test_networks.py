"""Every format computes what every kind of network does, and consists of plain operators."""

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from export.conftest import NETWORKS
from gcp_mm.errors import UserError
from gcp_mm.export.formats import FORMATS
from gcp_mm.export.numeric_check import TOLERANCE, compare, worst

DYNAMIC = [name for name in NETWORKS if name != "swin"]
# An ONNX file is made from the graph of torch.export, and takes ten seconds.
CASES = [
    *((name, "onnx") for name in DYNAMIC if name != "resnet50"),
    *((name, "torch-export") for name in ("resnet50", "vit")),
    *((name, "torchscript") for name in DYNAMIC),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), CASES)
def test_any_batch(exported, images, name, form):
    network, path, function = exported(FORMATS[form], name, images(2))
    assert FORMATS[form].foreign_operators(path) == []
    differences = compare(network, function, {str(n): images(n) for n in (1, 2, 5)})
    assert worst(differences).exported <= TOLERANCE, worst(differences)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_swin_has_a_fixed_batch(exported, images, form):
    network, path, function = exported(FORMATS[form], "swin", images(3), dynamic_batch=False)
    assert FORMATS[form].foreign_operators(path) == []
    (difference,) = compare(network, function, {"3": images(3)})
    assert difference.exported <= TOLERANCE


@pytest.mark.slow
def test_swin_with_any_batch_is_refused(exported, images):
    with pytest.raises(UserError, match=r"SwinTransformer with .* dynamic batch.*--batch-size N"):
        exported(FORMATS["onnx"], "swin", images(2))


@pytest.mark.slow
def test_trace_of_swin_is_wrong_for_another_batch(exported, images):
    network, _, function = exported(FORMATS["torchscript"], "swin", images(2))
    differences = compare(network, function, {"2": images(2), "1": images(1)})
    assert [d.exported <= TOLERANCE for d in differences] == [True, False]
