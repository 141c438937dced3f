"""What finished jobs leave is read from the files that the tools write."""

import json
import os

import pytest
from robustness.report.conftest import clips, images, result

from gcp_mm.errors import UserError
from gcp_mm.reproduction.jobs import Job
from gcp_mm.reproduction.results import (
    DONE,
    STARTED,
    check_starts,
    headline,
    read_done,
    write_done,
    write_started,
)

__all__ = ["result"]


def job(kind, name="g/run/part", digest="d1", config="", **about):
    about = {"group": "g", "arm": "gcp", "schedule": "lrfast", "seed": 0, **about}
    return Job(name, kind, ((),), "g/run", config=config, about=about, digest=digest)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "g/run/part"
    path.mkdir(parents=True)
    return path


def write_scalars(folder, top1, losses=(4.0, 2.0), run="20260101_000000", first=1):
    path = folder / run / "vis_data" / "scalars.json"
    path.parent.mkdir(parents=True)
    lines = []
    for epoch, value in enumerate(top1, first):
        for number, loss in enumerate(losses, 2 * epoch - 1):
            lines.append({"lr": 0.1, "loss": loss / epoch, "epoch": epoch, "step": number})
        if value is not None:
            lines.append({"accuracy/top1": value, "time": 0.1, "step": epoch})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def probe(step, losses, differences, beta, loss):
    row = {"kind": "probe", "step": step, "losses": losses, "grad_diffs": differences}
    return {**row, "beta": beta, "loss": loss, "lr": 0.1, "epoch": 0, "grad_norm": 1.0}


def test_training(tmp_path, folder):
    write_scalars(folder, [30.0, 40.0, 50.0])
    done = write_done(tmp_path, job("train", epochs=3), seconds=12.345)
    assert done["numbers"] == {
        "epochs": [1, 2, 3],
        "top1": [30.0, 40.0, 50.0],
        "train_loss": [3.0, 1.5, 1.0],
    }
    assert (
        done
        == json.loads((folder / DONE).read_text())
        == read_done(tmp_path, job("train", epochs=3))
    )
    assert (done["seconds"], done["kind"], done["name"]) == (12.3, "train", "g/run/part")
    assert done["about"]["arm"] == "gcp" and set(done["versions"]) == {"gcp_mm", "torch"}
    assert headline(done) == "top-1 50.00 %"


def test_training_that_was_continued(tmp_path, folder):
    write_scalars(folder, [30.0, 41.0])
    write_scalars(folder, [40.0, 50.0], run="20260101_010000", first=2)
    done = write_done(tmp_path, job("train", epochs=3), 1.0)
    assert done["numbers"]["top1"] == [30.0, 40.0, 50.0]


@pytest.mark.parametrize("top1", [[30.0, None, 50.0], [30.0, 40.0], [30.0, 40.0, 50.0, 60.0]])
def test_training_with_other_epochs_than_the_plan_has_no_result(tmp_path, folder, top1):
    write_scalars(folder, top1)
    with pytest.raises(UserError, match="not of each of 3: .* validate after every epoch"):
        write_done(tmp_path, job("train", epochs=3), 1.0)
    assert not (folder / DONE).exists()


def test_training_without_accuracy(tmp_path, folder):
    write_scalars(folder, [1.0])
    path = next(folder.glob("*/vis_data/scalars.json"))
    path.write_text(path.read_text().replace("accuracy/top1", "accuracy/top5"))
    with pytest.raises(UserError, match="val_evaluator has to be an Accuracy"):
        write_done(tmp_path, job("train", epochs=1), 1.0)
    path.unlink()
    with pytest.raises(UserError, match="not a work folder"):
        write_done(tmp_path, job("train", epochs=1), 1.0)


def test_probes_of_a_training(tmp_path, folder):
    write_scalars(folder, [30.0])
    records = [
        {"kind": "header", "version": 1, "run": "r", "settings": {}},
        probe(0, [1.0, 4.0, 2.0], [0.5, 0.75, 1.0], [2.0, 8.0], 3.0),
        probe(5, [1.0, None], [1.0, 2.0], [None, 8.0], 2.0),
        probe(5, [1.0, 1.5], [1.0, 3.0], [4.0, 8.0], 1.0),  # measured again
        probe(9, [1.0, None], [None, 3.0], [None], None),
    ]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "landscape.jsonl").write_text(text)
    done = write_done(tmp_path, job("train", epochs=1), 1.0)
    assert done["numbers"]["probes"] == {
        "step": [0, 5, 9],
        "loss": [3.0, 1.0, None],
        "loss_width": [3.0, 0.5, None],
        "gradient_width": [0.5, 2.0, None],
        "beta": [8.0, 8.0, None],
    }


def write_measurement(folder, kind, results):
    content = {"kind": kind, "settings": {}, "results": results}
    (folder / "result.json").write_text(json.dumps(content))


def test_sharpness_is_the_mean_of_the_ends_over_the_loss(tmp_path, folder):
    losses = [[5.0], [1.0], [0.5], [1.0], [2.0]]
    write_measurement(folder, "surface", {"loss": 0.5, "losses": losses})
    done = write_done(tmp_path, job("sharpness"), 1.0)
    assert done["numbers"] == {"rise": 3.0, "loss": 0.5}
    assert headline(done) == "loss rises by 3"
    write_measurement(folder, "surface", {"loss": 0.5, "losses": [["inf"], [0.5], [2.0]]})
    assert write_done(tmp_path, job("sharpness"), 1.0)["numbers"]["rise"] is None


def test_a_rise_that_is_none_has_a_headline():
    done = {"kind": "sharpness", "numbers": {"rise": None, "loss": 0.5}}
    assert headline(done) == "no finite rise"


def test_curvature(tmp_path, folder):
    results = {"loss": 0.5, "eigenvalues": [3.0, 20.0, -1.0], "trace": 31.0}
    write_measurement(folder, "curvature", {**results, "trace_standard_error": 0.5})
    done = write_done(tmp_path, job("curvature"), 1.0)
    expected = {"top_eigenvalue": 20.0, "trace": 31.0, "trace_standard_error": 0.5}
    assert done["numbers"] == expected and headline(done) == "largest eigenvalue 20"


def test_errors_under_corruptions_are_means_over_severities_then_over_corruptions(
    tmp_path, folder, result
):
    cells = images({"fog": 0.2, "snow": 0.6}, clean=0.1)
    # Of fog one severity is missing: its mean is of four.
    cells.pop("fog/5")
    cells["fog/1"]["correct"] = 10_000  # of 50 000: 80 %
    result("imagenet-c", "gcp", cells).rename(folder / "result.json")
    done = write_done(tmp_path, job("corruptions"), 1.0)
    numbers = done["numbers"]
    assert numbers["errors"] == pytest.approx({"fog": 35.0, "snow": 60.0})
    assert numbers["error"] == pytest.approx(47.5)
    assert numbers["clean_error"] == pytest.approx(10.0)
    assert headline(done) == "mean error 47.50 %, clean 10.00 %"


def test_perturbations(tmp_path, folder, result):
    cells = clips(0.1, 2.0, names=("tilt", "scale"))
    cells["scale"] = clips(0.3, 5.0, names=("scale",))["scale"]
    result("imagenet-p", "gcp", cells).rename(folder / "result.json")
    done = write_done(tmp_path, job("perturbations"), 1.0)
    numbers = done["numbers"]
    assert numbers["flips"] == pytest.approx({"tilt": 10.0, "scale": 30.0})
    assert numbers["flip_probability"] == pytest.approx(20.0)
    assert numbers["top5_distance"] == pytest.approx(3.5)
    assert headline(done) == "flip probability 20.00 %"


AP = ("box_AP", "box_AP50", "mask_AP", "mask_AP50")


def test_detector_counts_its_latest_evaluation(tmp_path, folder):
    for number, value in enumerate((0.3, 0.25)):
        path = folder / f"test/2026010{number + 1}_000000/2026010{number + 1}_000000.json"
        path.parent.mkdir(parents=True)
        metrics = {
            f"coco/{kind}_mAP{end}": value for kind in ("bbox", "segm") for end in ("", "_50")
        }
        path.write_text(json.dumps({**metrics, "coco/bbox_mAP_s": -1.0}))
        os.utime(path, (number, number))
    done = write_done(tmp_path, job("detector"), 1.0)
    assert done["numbers"] == dict.fromkeys(AP, 25.0)
    assert headline(done) == "box AP 25.0 %"


def test_detector_without_a_measure_is_no_seed_to_leave_out(tmp_path, folder):
    (folder / "test/1").mkdir(parents=True)
    (folder / "test/1/1.json").write_text('{"data_time": 0.1, "time": 0.2}')
    with pytest.raises(UserError, match="no measure of COCO"):
        write_done(tmp_path, job("detector"), 1.0)


def test_detector_without_an_evaluation(tmp_path, folder):
    with pytest.raises(UserError, match="no metrics of an evaluation"):
        write_done(tmp_path, job("detector"), 1.0)


@pytest.mark.parametrize("kind", ["sharpness", "curvature", "corruptions", "perturbations"])
def test_result_that_is_absent_or_damaged_is_a_user_error(tmp_path, folder, kind):
    for content in (None, "", "{", "[]", "{}", '{"kind": "surface"}'):
        if content is not None:
            (folder / "result.json").write_text(content)
        with pytest.raises(UserError, match=r"result\.json"):
            write_done(tmp_path, job(kind), 1.0)
    assert not (folder / DONE).exists()


@pytest.mark.parametrize("kind", ["data", "corrupt"])
def test_kinds_without_numbers(tmp_path, folder, kind):
    done = write_done(tmp_path, job(kind), 1.0)
    assert done["numbers"] == {} and headline(done) == "done"


def test_a_job_that_is_not_done(tmp_path, folder):
    assert read_done(tmp_path, job("data")) is None
    assert read_done(tmp_path / "nowhere", job("data")) is None
    write_started(tmp_path, job("data"), tmp_path)
    assert read_done(tmp_path, job("data")) is None


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '"text"', "{}", "\x00"])
def test_a_note_that_was_cut_is_no_result(tmp_path, folder, content):
    (folder / DONE).write_text(content)
    (folder / STARTED).write_text(content)
    assert read_done(tmp_path, job("data")) is None


@pytest.mark.parametrize("note", [DONE, STARTED])
def test_a_run_of_another_plan_is_refused_and_kept(tmp_path, folder, note):
    if note == DONE:
        write_done(tmp_path, job("data"), 1.0)
    else:
        write_started(tmp_path, job("data"), tmp_path)
    before = (folder / note).read_text()
    with pytest.raises(UserError, match="other settings, bases or data .* It is kept"):
        read_done(tmp_path, job("data", digest="d2"))
    assert (folder / note).read_text() == before


@pytest.mark.parametrize("note", [DONE, STARTED])
def test_a_note_that_cannot_be_read_is_none_that_is_absent(tmp_path, folder, note):
    (folder / note).mkdir()
    with pytest.raises(UserError, match=rf"{note}' cannot be read \(Is a directory\)"):
        read_done(tmp_path, job("data"))


# FIPS 180-2 has the digest of the letters abc.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("done", [False, True])
def test_a_run_goes_on_with_the_weights_that_it_began_with(tmp_path, folder, done):
    weights = tmp_path / "start.pth"
    weights.write_bytes(b"abc")
    train = job("data", config="load_from = '{data}/start.pth'\n")
    write_started(tmp_path, train, tmp_path)
    assert json.loads((folder / STARTED).read_text())["weights"] == {"{data}/start.pth": ABC}
    if done:
        write_done(tmp_path, train, 1.0)
    moved = tmp_path / "moved"
    moved.mkdir()
    weights.rename(moved / "start.pth")
    for data in (moved, tmp_path):  # of an absent one nothing is known
        check_starts(tmp_path, [train], data)
        write_started(tmp_path, train, data)
        assert json.loads((folder / STARTED).read_text())["weights"] == {"{data}/start.pth": ABC}
    weights.write_bytes(b"abd")
    before = (folder / STARTED).read_text()
    with pytest.raises(UserError, match=r"started from another .*start\.pth.*ba7816bf\.\.\., now"):
        check_starts(tmp_path, [job("x", name="other"), train], tmp_path)
    assert (folder / STARTED).read_text() == before


@pytest.mark.parametrize("note", [ABC, None])
def test_notes_of_the_previous_version_have_the_digest_of_load_from_alone(tmp_path, folder, note):
    for name in ("w.pth", "trunk.pth"):
        (tmp_path / name).write_bytes(b"abc")
    (folder / STARTED).write_text(json.dumps({"digest": "d1", "name": "x", "weights": note}))
    text = "model = {'init_cfg': {'checkpoint': '{data}/trunk.pth'}}\nload_from = '{data}/w.pth'\n"
    train = job("train", config=text)
    check_starts(tmp_path, [train], tmp_path)
    (tmp_path / "w.pth").write_bytes(b"abd")
    if note:
        with pytest.raises(UserError, match=r"another .*w\.pth' \(sha256 ba7816bf"):
            check_starts(tmp_path, [train], tmp_path)
    else:
        check_starts(tmp_path, [train], tmp_path)
        write_started(tmp_path, train, tmp_path)
        (tmp_path / "trunk.pth").write_bytes(b"abd")
        with pytest.raises(UserError, match=r"another .*trunk\.pth' \(sha256 ba7816bf"):
            check_starts(tmp_path, [train], tmp_path)
