"""The page says what the numbers say, and nothing that a plan or a name says can break it."""

import copy
import functools
import json
import math
import re

import pytest
from pages.reading import all_of, numbers_of, read_markdown, read_page

from gcp_mm.errors import UserError
from gcp_mm.reproduction.first_start import record_start
from gcp_mm.reproduction.jobs import make_jobs
from gcp_mm.reproduction.plan import read_plan
from gcp_mm.reproduction.report import write_report
from gcp_mm.reproduction.verdicts import SENTENCES
from reproduction.finished import finish
from reproduction.plans import HOSTILE, full, write_plan

BETTER = {"gap": 10.0, "gcp": 20.0}


def value(job, of=BETTER):
    """GCP twice as large as GAP, in everything, and a little of the seed more."""
    arm = {"gap": "gap", "gcpm": "gcp"}.get(job.about.get("detector"), job.about.get("arm"))
    return of.get(arm, 1.0) + 0.1 * (arm == "gcp") * job.about.get("seed", 0) ** 2


def write_all(folder, content, value=value, command="gcp-mm reproduce plan.yml"):
    """Write the page of a plan with these values, under this folder."""
    content["seeds"] = [0, 1, 2]
    plan = read_plan(write_plan(folder / "p.yml", content))
    jobs, work, out = make_jobs(plan), folder / "work", folder / "out"
    list(finish(work, jobs, value))
    files, lines = write_report(plan, jobs, work, out, command)
    assert files == [out / "index.html", out / "index.md", out / "numbers.json"]
    return plan, jobs, out, lines


@pytest.fixture
def report(tmp_path):
    return functools.partial(write_all, tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of a plan that has everything and is finished; drawing it takes a second."""
    return write_all(tmp_path_factory.mktemp("whole"), everything())


def small():
    """A plan of which two figures are drawn."""
    content = everything()
    for part in ("landscape", "robustness", "detection"):
        del content["groups"]["tiny"][part]
    return content


def everything():
    content = full()
    content["verdict"]["primary"] = {
        "convergence": ["top1/lrfast"],
        "landscape": ["loss_band/lrfast", "sharpness/lrfast"],
        "robustness": ["flip_probability/lrfast"],
        "detection": ["box_AP/lrfast"],
    }
    return content


def test_words_of_the_verdicts(whole):
    _, _, out, lines = whole
    # More is better of accuracy and AP, and worse of bands, of the rise of the loss and of flips.
    expected = [
        ("convergence", "shows against GAP"),
        ("landscape", "opposite against GAP"),
        ("robustness", "opposite against GAP"),
        ("detection", "shows against GAP"),
    ]
    number, *sentences = lines
    assert sentences == [f"{SENTENCES[claim]} (A stage): {words}" for claim, words in expected]
    numbers = json.loads((out / "numbers.json").read_text())["jobs"]
    assert number == f"{numbers['done']} of {numbers['all']} runs"
    numbers = json.loads((out / "numbers.json").read_text())
    assert [(row["claim"], row["sentence"]) for row in numbers["verdicts"]] == expected
    found = [row["verdicts"] for row in numbers["verdicts"]]
    assert found[0] == [{"treatment": "gcp", "control": "gap", "verdict": "shows"}]
    page = read_page(out / "index.html")
    shown = " ".join(element.text for element in all_of(page, "table", "p", "h2", "h3"))
    blocks = " ".join(text for _, text, _ in read_markdown((out / "index.md").read_text()))
    for text in (shown, blocks):
        for claim, words in expected:
            assert SENTENCES[claim] in text and f"Verdict: {words}" in text
        assert "not finished" not in text


def test_differences_are_those_of_the_seeds(whole):
    _, _, out, _ = whole
    numbers = json.loads((out / "numbers.json").read_text())
    rows = {row["measure"]: row for claim in numbers["verdicts"] for row in claim["differences"]}
    top1 = rows["top1/lrfast"]
    # 20 and 10, and 0, 0.1 and 0.4 of the seeds, whose variance is 0.13 / 3.
    mean, deviation = 10 + 0.5 / 3, math.sqrt(0.13 / 3)
    assert (top1["mean"], top1["pairs"], top1["primary"]) == (pytest.approx(mean), 3, True)
    assert top1["deviation"] == pytest.approx(deviation)
    low = mean - 4.302652729911275 * deviation / math.sqrt(3)
    assert top1["verdict"] == "shows" and top1["low"] == pytest.approx(low)
    values = {name: row for claim in numbers["verdicts"] for name, row in claim["values"].items()}
    assert values["top1/lrfast"]["gcp"] == pytest.approx({"0": 20.0, "1": 20.1, "2": 20.4})
    table = read_page(out / "index.html")
    cells = [element.text.strip() for element in all_of(table, "td", "th")]
    assert "accuracy, lrfast *" in cells and "GCP - GAP" in cells


def test_numbers_are_the_same_everywhere(whole):
    plan, jobs, out, _ = whole
    numbers = json.loads((out / "numbers.json").read_text())
    assert numbers_of(read_page(out / "index.html")) == {"numbers": numbers}
    assert numbers["plan"] == {"name": "p", **json.loads(json.dumps(plan.content))}
    assert numbers["jobs"] == {"done": len(jobs), "all": len(jobs)}
    assert numbers["seconds"] == 2.0 * len(jobs)
    assert [row["name"] for row in numbers["runs"]] == [job.name for job in jobs]


def test_every_figure_is_there_and_is_named(whole):
    _, _, out, _ = whole
    names = {"convergence", "landscape", "robustness", "detection"}
    names |= {f"{name}_differences" for name in names}
    assert {path.stem for path in out.glob("*.svg")} == {f"tiny_{name}" for name in names}
    markdown = (out / "index.md").read_text()
    assert set(re.findall(r"\]\((\S+)\.svg\)", markdown)) == {f"tiny_{name}" for name in names}
    page = read_page(out / "index.html")
    assert len(all_of(page, "svg")) == 8


@pytest.mark.slow
def test_page_is_the_same_when_it_is_written_again(whole, tmp_path):
    plan, jobs, out, _ = whole
    write_report(plan, jobs, out.with_name("work"), tmp_path, "gcp-mm reproduce plan.yml")
    before, after = ({p.name: p.read_bytes() for p in f.iterdir()} for f in (out, tmp_path))
    assert before == after


@pytest.mark.slow
@pytest.mark.parametrize(
    "unfinished",
    [
        lambda job: job.kind != "corrupt",
        lambda job: job.kind != "train",
        lambda job: job.about.get("arm") == "gcp",
        lambda job: job.kind == "corruptions" and job.about["epoch"] == 1,
    ],
)
def test_unfinished_plan_says_so(report, unfinished):
    _, jobs, out, lines = report(everything(), lambda job: None if unfinished(job) else value(job))
    number = sum(not unfinished(job) for job in jobs)
    for path in (out / "index.html", out / "index.md"):
        text = path.read_text()
        assert "The plan is not finished." in text
        assert f"{number} of {len(jobs)} runs" in text
    numbers = json.loads((out / "numbers.json").read_text())
    assert numbers["jobs"] == {"done": number, "all": len(jobs)}
    assert lines[0] == f"{number} of {len(jobs)} runs" and len(lines) <= 5


def test_numbers_of_a_measure_that_only_some_have(report):
    def some(job):
        return None if job.kind == "detector" and job.about["seed"] == 2 else value(job)

    content = everything()
    for part in ("landscape", "robustness"):
        del content["groups"]["tiny"][part]
        del content["verdict"]["primary"][part]
    _, _, out, lines = report(content, some)
    numbers = json.loads((out / "numbers.json").read_text())
    (found,) = [row for row in numbers["verdicts"] if row["claim"] == "detection"]
    assert {row["pairs"] for row in found["differences"]} == {2}
    assert lines[-1].endswith(": undecided against GAP")


def rows_of(out):
    """Return the cells of the rows of all tables."""
    rows = []
    for element in all_of(read_page(out / "index.html"), "tr", "td", "th"):
        if element.tag == "tr":
            rows.append([])
        else:
            rows[-1].append(element.text.strip())
    return rows


def test_means_are_over_the_seeds_that_both_arms_have(report):
    def some(job):
        about = job.about
        if (about.get("arm"), about.get("seed")) == ("gap", 2):
            return None
        return {"gap": 10.0, "gcp": 20.0}[about["arm"]] + 5 * about["seed"] ** 2

    _, _, out, _ = report(small(), some)
    (row,) = [row for row in rows_of(out) if row[:1] == ["accuracy, lrfast *"]]
    # (20 + 25) / 2 and (10 + 15) / 2; with the third seed of GCP it would be 85 / 3.
    assert row[2:7] == ["GCP - GAP", "2", "22.5", "12.5", "10"]
    assert row[-1] == "undecided"


def test_page_says_how_long_the_schedules_are(report):
    content = small()
    group = content["groups"]["tiny"]
    group["schedules"]["lrnorm"] = ["_base_/schedules/resnet_lrnorm.py"]
    _, jobs, out, _ = report(content)
    epochs = {job.about["schedule"]: job.about["epochs"] for job in jobs}
    told = f"lrfast {epochs['lrfast']}, lrnorm {epochs['lrnorm']}, those of the paper times 0.04"
    for name in ("index.html", "index.md"):
        assert f"Epochs of the schedules: {told}, to whole epochs." in (out / name).read_text()


def test_page_warns_of_runs_of_different_versions(report):
    plan, jobs, out, _ = report(small())
    warning = "The runs were made with 2 sets of versions"
    assert warning not in (out / "index.md").read_text()
    path = out.with_name("work") / jobs[0].name / "done.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "versions": {"torch": "1.0"}}))
    write_report(plan, jobs, out.with_name("work"), out, "x")
    assert f"**{warning}**" in (out / "index.md").read_text()
    numbers = json.loads((out / "numbers.json").read_text())
    assert [run["versions"] for run in numbers["runs"]][:2] == [{"torch": "1.0"}, {}]


@pytest.mark.slow
def test_page_says_that_the_rule_was_changed_after_the_first_start(report):
    content = small()
    plan, jobs, out, _ = report(content)
    work = out.with_name("work")
    record_start(plan, work)
    write_report(plan, jobs, work, out, "x")
    assert "Changed since" not in (out / "index.md").read_text()
    content["verdict"]["confidence"] = 0.5
    other = read_plan(write_plan(out.with_name("p.yml"), content))
    write_report(other, jobs, work, out, "x")
    for name in ("index.html", "index.md"):
        text = (out / name).read_text()
        assert "Changed since the first start on 20" in text and "0.5" in text
        assert "a rule that was chosen after its runs say less" in text


def test_plan_without_anything_but_trainings(report):
    _, _, out, lines = report(small())
    assert len(lines) == 2
    assert {path.stem for path in out.glob("*.svg")} == {
        "tiny_convergence",
        "tiny_convergence_differences",
    }


def test_report_of_runs_of_another_plan_is_refused(whole, tmp_path):
    plan, _, out, _ = whole
    content = copy.deepcopy(plan.content)
    content["groups"]["tiny"]["shorten"] = 0.1
    other = read_plan(write_plan(tmp_path / "p.yml", content))
    with pytest.raises(UserError, match="other settings"):
        write_report(other, make_jobs(other), out.with_name("work"), tmp_path / "out", "x")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", HOSTILE)
def test_titles_are_shown_and_not_read(report, text):
    text = text.replace("{marker}", "marker")
    content = small()
    group = content["groups"]["tiny"]
    for table in (content, group, group["arms"]["gap"]):
        table["title"] = text
    content["text"] = text
    _, _, out, _ = report(content, command=f"gcp-mm reproduce '{text}'")
    page = read_page(out / "index.html")
    # One script of the page's own, and the numbers.
    scripts = [element.attributes.get("type") for element in all_of(page, "script")]
    assert sorted(map(str, scripts)) in (
        ["None", "application/json"],
        ["application/json", "module"],
    )
    (title,) = all_of(page, "h1")
    shown = " ".join(text.split())
    assert " ".join(title.text.split()) == shown
    assert numbers_of(page)["numbers"]["plan"]["title"] == text
    assert not [a for a in all_of(page, "a") if "javascript" in a.attributes.get("href", "")]
    blocks = read_markdown((out / "index.md").read_text())
    kinds = {block for block, _, _ in blocks}
    assert "html_block" not in kinds and blocks[0][0] == "h1"
    assert not any("html_inline" in marks for _, _, marks in blocks)
    assert any(shown in found for block, found, _ in blocks if block == "h3")
