"""The evaluation tool."""

import pickle
import shutil

import pytest
import torch
from doc_snippets import python_snippet
from PIL import Image
from suite import made_once
from tiny_runs import Hostile, only_error, read_scalars

HEAD_OF_FIVE = ["--cfg-options", "model.head.num_classes=5"]
OTHER_WIDTH = ["--cfg-options", "model.backbone.base_channels=8", "model.neck.in_channels=64"]


@pytest.fixture(scope="module")
def tested(run_warm, repo, classifier, trained, tmp_path_factory):
    """Return the folder and the process of an evaluation that writes all that it can."""

    def test():
        folder = tmp_path_factory.mktemp("tested")
        process = run_warm(
            *(repo / "tools/test.py", classifier, trained[0] / "epoch_3.pth"),
            *("--work-dir", "work", "--out", "results/out.pkl", "--show-dir", "shown"),
            cwd=folder,
        )
        assert process.returncode == 0, process.stderr
        return folder, process

    return made_once(tmp_path_factory, "tested", test)


def test_accuracy_is_that_of_training_and_of_the_predictions(tested, trained):
    folder, process = tested
    with (folder / "results/out.pkl").open("rb") as file:
        results = pickle.load(file)
    assert len(results) == 7
    right = sum(int(result["pred_label"]) == int(result["gt_label"]) for result in results)
    _, epochs = read_scalars(trained[0])
    assert epochs[3]["accuracy/top1"] == pytest.approx(100 * right / 7)
    assert f"accuracy/top1: {100 * right / 7:.4f}" in process.stdout
    for result in results:
        assert float(result["pred_score"].sum()) == pytest.approx(1, abs=1e-5)


def test_every_image_is_shown_where_asked(tested, class_folders):
    folder, _ = tested
    names = {str(path.relative_to(class_folders / "val")) for path in class_folders.glob("val/*/*")}
    shown = folder / "shown"
    assert {str(path.relative_to(shown)) for path in shown.rglob("*.png")} == names
    with Image.open(shown / min(names)) as image:
        assert min(image.size) >= 32


def test_images_of_one_name_in_several_classes_are_all_shown(
    call_tool, classifier, trained, class_folders, tmp_path
):
    first = next(class_folders.glob("val/class_0/*"))
    names = {f"class_{label}/{number}.png" for label in range(3) for number in range(4)}
    for name in names:
        (tmp_path / "data/val" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first, tmp_path / "data/val" / name)
    code, _, errors = call_tool(
        *("tools/test.py", classifier, trained[0] / "epoch_3.pth", "--work-dir", tmp_path / "work"),
        *("--show-dir", tmp_path / "shown"),
        *("--cfg-options", f"test_dataloader.dataset.data_root={tmp_path / 'data'}"),
    )
    assert code == 0, errors
    shown = (tmp_path / "shown").rglob("*.*")
    assert {str(path.relative_to(tmp_path / "shown")) for path in shown} == names


def test_the_inferencer_of_the_docs_predicts_as_the_tool_does(
    run_warm, tested, classifier, trained, class_folders, tmp_path
):
    with (tested[0] / "results/out.pkl").open("rb") as file:
        results = pickle.load(file)
    path = min(class_folders.glob("val/*/*.png"))
    code = python_snippet(
        "docs/inference.md",
        "ImageClassificationInferencer",
        **{"work_dirs/resnet50_gcp_folder/resnet50_gcp_folder.py": classifier},
        **{"work_dirs/resnet50_gcp_folder/epoch_20.pth": trained[0] / "epoch_3.pth"},
        **{"cat.jpg": path, "shown": tmp_path / "shown"},
    )
    process = run_warm("-c", code)
    assert process.returncode == 0, process.stderr
    name, score = process.stdout.split()[-2:]
    # The images are in the order of their classes and names.
    result = results[0]
    # Behind the progress bar, which ends no line.
    assert name.endswith(f"class_{int(result['pred_label'])}")
    assert float(score) == pytest.approx(float(result["pred_score"].max()), abs=1e-5)
    assert (tmp_path / "shown" / path.name).is_file()


def test_nothing_is_written_elsewhere(tested):
    folder, _ = tested
    assert {path.name for path in folder.iterdir()} == {"work", "results", "shown"}


@pytest.fixture
def files(trained, tmp_path):
    """Return checkpoints by name: a good one and some that are not."""
    good = trained[0] / "epoch_3.pth"
    torch.save({"state_dict": {}, "meta": Hostile(tmp_path / "marker")}, tmp_path / "hostile.pth")
    (tmp_path / "truncated.pth").write_bytes(good.read_bytes()[:100_000])
    return {
        "good": good,
        "absent": tmp_path / "absent.pth",
        "hostile": tmp_path / "hostile.pth",
        "truncated": tmp_path / "truncated.pth",
    }


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("absent", [], "absent.pth' does not exist"),
        ("hostile", [], "nothing in it was executed"),
        ("truncated", [], "truncated.pth' (100000 bytes) cannot be read"),
        ("good", HEAD_OF_FIVE, "head.fc.weight ((5, 136), (3, 136))"),
        ("good", OTHER_WIDTH, "does not fit the ImageClassifier of this config"),
        ("good", ["--out", "results.json"], "--out has to end in .pkl"),
        ("good", ["--cfg-options", "test_dataloader.dataset.data_root=/no/data"], "'/no/data'"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    call_tool, classifier, files, tmp_path, name, options, message
):
    call = call_tool("tools/test.py", classifier, files[name], "--work-dir", tmp_path, *options)
    assert message in only_error(*call)
    assert not (tmp_path / "marker").exists()


def test_hostile_checkpoint_in_a_process_of_its_own(run_warm, classifier, files, tmp_path):
    process = run_warm("tools/test.py", classifier, files["hostile"], "--work-dir", tmp_path)
    error = only_error(process.returncode, process.stdout, process.stderr)
    assert "nothing in it was executed" in error
    assert not (tmp_path / "marker").exists()
