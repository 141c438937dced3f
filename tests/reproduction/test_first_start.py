"""What is fixed at the first start, and what has to be there before one."""

import json
import re

import pytest

from gcp_mm.errors import UserError
from gcp_mm.reproduction.first_start import NOTE, changed_since, check_inputs, record_start
from gcp_mm.reproduction.jobs import make_jobs
from gcp_mm.reproduction.plan import read_plan
from reproduction.plans import ROBUSTNESS, full, runnable, tiny, write_plan


@pytest.fixture
def make_plan(tmp_path):
    def make(content, data="data"):
        return read_plan(write_plan(tmp_path / "p.yml", content), tmp_path / data)

    return make


def test_rule_seeds_and_data_are_noted_once(make_plan, tmp_path):
    work, plan = tmp_path / "work", make_plan(full())
    record_start(plan, work)
    text = (work / NOTE).read_text()
    note = json.loads(text)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", note.pop("date"))
    assert note == {
        "rule": plan.content["verdict"],
        "seeds": [0],
        "controls": {"tiny": ["gap"]},
        "treatment": {"tiny": "gcp"},
        "landscape": {"tiny": {"arms": ["gap", "gcp"]}},
        "robustness": {"tiny": {"arms": ["gap", "gcp"]}},
        "detection": {"tiny": {"treatments": ["gcpm"], "controls": ["gap"]}},
        "data_root": str(tmp_path / "data"),
    }
    content = full()
    content["seeds"] = [1, 2]
    record_start(make_plan(content), work)
    assert (work / NOTE).read_text() == text


def test_what_was_changed_since_is_said(make_plan, tmp_path):
    work = tmp_path / "work"
    assert changed_since(make_plan(full()), work) == ""
    record_start(make_plan(full()), work)
    date = json.loads((work / NOTE).read_text())["date"]
    content = full()
    content["title"] = content["groups"]["tiny"]["title"] = "x"
    assert changed_since(make_plan(content), work) == ""
    content["seeds"] = [0, 1]
    told = changed_since(make_plan(content), work)
    assert told == f"Changed since the first start on {date}: seeds is [0] there and [0, 1] here."
    content["verdict"]["min_seeds"] = 2
    content["groups"]["tiny"]["arms"]["wide"] = content["groups"]["tiny"]["arms"]["gap"]
    content["groups"]["tiny"]["controls"] = ["gap", "wide"]
    told = changed_since(make_plan(content), work)
    assert "controls is {'tiny': ['gap']} there and {'tiny': ['gap', 'wide']} here" in told
    assert "'min_seeds': 3" in told and "'min_seeds': 2" in told


def test_arms_that_were_swapped_since_are_said(make_plan, tmp_path):
    """They decide the verdict, and are in the digest of no run."""
    work = tmp_path / "work"
    record_start(make_plan(full()), work)
    content = full()
    group = content["groups"]["tiny"]
    group.update(treatment="gap", controls=["gcp"])
    group["detection"].update(treatments=["gap"], controls=["gcpm"])
    group["landscape"]["arms"] = group["robustness"]["arms"] = ["gcp", "gap"]
    told = changed_since(make_plan(content), work)
    assert "treatment is {'tiny': 'gcp'} there and {'tiny': 'gap'} here" in told
    for part in ("detection", "landscape", "robustness"):
        assert f"{part} is {{'tiny': " in told


def test_note_of_the_previous_version_is_compared_in_what_it_has(make_plan, tmp_path):
    work, plan = tmp_path / "work", make_plan(full())
    record_start(plan, work)
    note = json.loads((work / NOTE).read_text())
    kept = ("rule", "seeds", "controls", "data_root", "date")
    (work / NOTE).write_text(json.dumps({key: note[key] for key in kept}))
    assert changed_since(plan, work) == ""
    content = full()
    content["seeds"] = [3]
    assert "seeds is [0] there and [3] here." in changed_since(make_plan(content), work)


def test_other_data_are_refused_as_long_as_the_first_are_there(make_plan, tmp_path):
    work, first, other = (tmp_path / name for name in ("work", "first", "other"))
    first.mkdir()
    record_start(make_plan(full(), "first"), work)
    other.symlink_to(first)
    for same in ("first", "other", "first/../other/"):
        record_start(make_plan(full(), same), work)
    other.unlink()
    for _ in range(2):  # not there, and there
        with pytest.raises(UserError, match="made with the data in .*first', not with .*other'"):
            record_start(make_plan(full(), "other"), work)
        other.mkdir(exist_ok=True)
    other.rmdir()
    first.rename(other)
    record_start(make_plan(full(), "other"), work)


def check(plan):
    check_inputs(plan, make_jobs(plan))


def with_inputs():
    content = tiny(robustness={**ROBUSTNESS, "images": "{data}/images"})
    group = content["groups"]["tiny"]
    group["settings"] |= {
        "load_from": "{data}/w.pth",
        "train_dataloader": {"dataset": {"data_root": "{data}/train", "ann_file": "a.json"}},
        "val_evaluator": [{"ann_file": "{data}/truth.json"}, {"ann_file": ""}],
    }
    group["arms"]["gcp"]["settings"]["load_from"] = "https://a.b/c.pth"
    return content


def test_all_inputs_that_are_absent_are_in_one_message(make_plan, tmp_path):
    names = ["images", "w.pth", "train", "truth.json"]
    there = tmp_path / "data"
    there.mkdir()
    while names:
        with pytest.raises(UserError) as error:
            check(make_plan(with_inputs()))
        text = str(error.value)
        assert len(text.splitlines()) == 1
        # What dataset and evaluator join themselves is not asked for, nor what is elsewhere.
        assert "a.json" not in text and "https" not in text
        for name in names:
            assert str(there / name) in text
        (there / names.pop()).touch()
    check(make_plan(with_inputs()))


@pytest.mark.parametrize("where", ["settings", "base"])
def test_every_file_that_a_training_starts_from_is_asked_for(
    make_plan, tmp_path, repo, where, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # who has downloaded it has it in the repository
    content = tiny()
    group = content["groups"]["tiny"]
    (tmp_path / "data").mkdir()
    if where == "settings":
        start = {"type": "Pretrained", "checkpoint": "{data}/trunk.pth"}
        group["settings"]["model"]["backbone"]["init_cfg"] = start
        wanted = tmp_path / "data/trunk.pth"
    else:
        group["bases"] = ["finetune/resnet50_gcp_folder.py"]
        group["arms"]["gap"].pop("base")
        wanted = "checkpoints/resnet50_gcp_lrnorm.pth"
        assert wanted in (repo / "configs/finetune/resnet50_gcp_folder.py").read_text()
    with pytest.raises(UserError, match=rf"reads .*{wanted}"):
        check(make_plan(content))
    # One that the plan replaces is not.
    group["settings"]["load_from"] = None
    group["settings"]["model"]["backbone"]["init_cfg"] = None
    if where == "base":
        check(make_plan(content))


def test_data_that_are_made_are_not_asked_for(make_plan, tmp_path):
    content = with_inputs()
    content["make_data"] = True
    check(make_plan(content))
    content["groups"]["tiny"]["settings"]["load_from"] = str(tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"reads \S*other\.pth, which is not there"):
        check(make_plan(content))


def test_inputs_of_the_runnable_plan_are_there(class_folders, tmp_path):
    plan = write_plan(tmp_path / "p.yml", runnable())
    check(read_plan(plan, class_folders))
    with pytest.raises(UserError, match=r"reads \S*/no, which is not there"):
        check(read_plan(plan, tmp_path / "no"))
