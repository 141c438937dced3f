"""The command line: what it prints without running anything, and what it refuses."""

import json
import shlex

import pytest
from reproduction.finished import finish
from reproduction.plans import full, runnable, tiny, write_plan
from tiny_runs import only_error

from gcp_mm.reproduction.configs import resolve_config
from gcp_mm.reproduction.first_start import record_start
from gcp_mm.reproduction.jobs import make_jobs, tasks
from gcp_mm.reproduction.plan import read_plan
from gcp_mm.reproduction.results import write_started

TOOL = "tools/reproduce.py"


@pytest.fixture
def plan(tmp_path):
    return write_plan(tmp_path / "p.yml", full())


@pytest.mark.parametrize("name", ["quick", "imagenette", "imagenet"])
def test_counts_the_tasks_of_a_plan(call_tool, tmp_path, name):
    code, output, errors = call_tool(TOOL, name, "--count-tasks", "--work-dir", tmp_path / "w")
    assert code == 0, errors
    assert int(output) == len(tasks(make_jobs(read_plan(name))))
    assert not (tmp_path / "w").exists()


def test_prints_commands_that_a_shell_understands(call_tool, plan, tmp_path):
    work, data = tmp_path / "a b", tmp_path / "it's"
    arguments = (plan, "--commands", "--work-dir", work, "--data-root", data)
    code, output, errors = call_tool(TOOL, *arguments)
    assert code == 0, errors
    jobs = make_jobs(read_plan(plan))
    titles = [line for line in output.splitlines() if line.startswith("# ")]
    assert [line.split()[1].rstrip(",") for line in titles] == [job.name for job in jobs]
    assert any(line.endswith("_seed0/train, tiny/make_imagenet_c") for line in titles)
    commands = [line for line in output.splitlines() if not line.startswith("# ")]
    expected = [words for job in jobs for words in job.commands]
    assert len(commands) == len(expected)
    for line, words in zip(commands, expected, strict=True):
        _, module, *found = shlex.split(line)
        assert (module, found[0], found[1]) == ("-m", "gcp_mm.cli", words[1])
        assert len(found) == len(words)
    assert str(work / "tiny/imagenet-c") in shlex.split(commands[0])
    assert str(data / "val") in shlex.split(commands[0])
    # The configs that they name, and nothing else.
    files = {path: path.read_text() for path in work.rglob("*") if path.is_file()}
    configs = {work / "commands" / job.name / "config.py": job.config for job in jobs if job.config}
    named = {word for line in commands for word in shlex.split(line) if word.endswith("config.py")}
    assert named == set(map(str, configs))
    assert files == {path: resolve_config(text, work, data) for path, text in configs.items()}
    assert len(files) == 4


@pytest.mark.parametrize("changed", ["plan", "data", "weights", None])
def test_commands_of_other_runs_are_refused_and_configs_are_kept(call_tool, tmp_path, changed):
    """What is measured of a finished training reads its config."""
    plan, work, weights = tmp_path / "p.yml", tmp_path / "w", tmp_path / "weights.pth"
    content = tiny()
    content["groups"]["tiny"]["settings"]["load_from"] = str(weights)
    weights.write_text("first")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    read = read_plan(write_plan(plan, content), tmp_path / "one")
    record_start(read, work)
    for job in make_jobs(read):
        write_started(work, job, read.data_root)
        (work / job.name / "config.py").write_text("its config")
    files = {path: path.read_text() for path in work.rglob("*") if path.is_file()}
    data = tmp_path / ("two" if changed == "data" else "one")
    if changed == "plan":
        content["groups"]["tiny"]["settings"]["anything"] = 1
        write_plan(plan, content)
    if changed == "weights":
        weights.write_text("second")
    result = call_tool(TOOL, plan, "--commands", "--work-dir", work, "--data-root", data)
    if changed:
        told = {"plan": "other settings", "data": "with the data in", "weights": "another"}
        assert told[changed] in only_error(*result)
        assert not (work / "commands").exists()
    else:
        assert result[0] == 0, result
    assert {path: path.read_text() for path in files} == files


@pytest.mark.slow
def test_report_of_what_is_there(call_tool, plan, tmp_path):
    work, out = tmp_path / "w", tmp_path / "out"
    line = only_error(*call_tool(TOOL, plan, "--report", "--work-dir", work, "--out", out))
    assert f"no run of the plan 'p' is done in {str(work)!r}" in line and "--work-dir" in line
    assert not work.exists() and not out.exists()
    jobs = make_jobs(read_plan(plan))
    list(finish(work, jobs, lambda job: 1.0 if job.kind == "train" else None))
    code, output, errors = call_tool(TOOL, plan, "--report", "--work-dir", work)
    assert code == 0, errors
    assert (work / "report/index.html").is_file() and "index.md" in output
    assert output.splitlines()[0] == f"2 of {len(jobs)} runs"
    assert "**The plan is not finished.**" in (work / "report/index.md").read_text()
    list(finish(work, jobs))
    arguments = (plan, "--report", "--work-dir", work, "--out", out)
    code, output, errors = call_tool(TOOL, *arguments)
    assert code == 0, errors
    numbers = json.loads((out / "numbers.json").read_text())
    assert numbers["jobs"]["done"] == numbers["jobs"]["all"]
    # How many runs, a line for each claim, and where the page is.
    assert len(output.splitlines()) == 6
    assert output.splitlines()[1].startswith("GCP learns with fewer epochs (A stage): ")


def test_page_names_the_command_that_made_it(call_tool, plan, tmp_path):
    work, data = tmp_path / "w", tmp_path / "it's"
    list(finish(work, make_jobs(read_plan(plan))[:3]))
    assert call_tool(TOOL, plan, "--report", "--work-dir", work, "--data-root", data)[0] == 0
    text = (work / "report/index.md").read_text()
    assert f"python tools/reproduce.py {plan} --data-root {shlex.quote(str(data))}" in text


def test_task_without_its_data_says_what_is_missing(call_tool, plan, tmp_path, monkeypatch):
    content = tiny()
    content["make_data"] = True
    plan = write_plan(tmp_path / "q.yml", content)
    result = call_tool(TOOL, plan, "--task", 0, "--work-dir", tmp_path / "w")
    line = only_error(*result)
    assert "tiny/gap_lrfast_seed0/train needs data, which is not done here" in line
    assert "--prepare" in line
    assert not list((tmp_path / "w").rglob("log.txt"))


@pytest.mark.parametrize("number", [-1, 2, 100])
def test_task_that_there_is_not(call_tool, tmp_path, number):
    plan = write_plan(tmp_path / "p.yml", tiny())
    result = call_tool(TOOL, plan, f"--task={number}", "--work-dir", tmp_path / "w")
    assert f"there is no task {number}: the plan has 0 to 1" in only_error(*result)


def test_plan_that_is_none(call_tool, tmp_path):
    assert "one of imagenet, imagenette, quick" in only_error(*call_tool(TOOL, "quik"))
    path = write_plan(tmp_path / "p.yml", "- a list")
    line = only_error(*call_tool(TOOL, path, "--count-tasks"))
    assert "not an object; configs/reproduction has examples" in line


def test_rule_that_names_nothing_is_refused_before_any_run(call_tool, tmp_path):
    content = tiny()
    content["verdict"]["primary"] = {"convergence": ["top2/lrfast"]}
    plan = write_plan(tmp_path / "p.yml", content)
    line = only_error(*call_tool(TOOL, plan, "--work-dir", tmp_path / "w"))
    assert "verdict/primary/convergence: 'top2/lrfast' is no measure" in line
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("number", [0, -3])
def test_number_of_jobs_is_positive(call_tool, plan, tmp_path, number):
    result = call_tool(TOOL, plan, f"--jobs={number}", "--work-dir", tmp_path / "w")
    assert f"--jobs {number}: at least one run at once" in only_error(*result)


def test_folder_of_another_plan_is_refused_and_kept(call_tool, tmp_path):
    plan, work = write_plan(tmp_path / "p.yml", tiny()), tmp_path / "w"
    files = list(finish(work, make_jobs(read_plan(plan))))
    before = [file.read_text() for file in files]
    write_plan(plan, tiny(shorten=0.5))
    for more in ([], ["--report"], ["--task", 0]):
        line = only_error(*call_tool(TOOL, plan, "--work-dir", work, *more))
        assert "other settings, bases or data" in line and str(work) in line
    assert [file.read_text() for file in files] == before
    assert not list(work.rglob("config.py"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--out", "x", "--task", "0"], "--out has no effect with --task"),
        (["--out", "x", "--prepare"], "--out has no effect with --prepare"),
        (["--out", "x", "--commands"], "--out has no effect with --commands"),
        (["--out", "x", "--count-tasks"], "--out has no effect with --count-tasks"),
        (["--jobs", "2", "--count-tasks"], "--jobs has no effect with --count-tasks"),
        (["--jobs", "2", "--commands"], "--jobs has no effect with --commands"),
        (["--jobs", "2", "--report"], "--jobs has no effect with --report"),
    ],
)
def test_option_without_an_effect_is_refused(call_tool, plan, tmp_path, options, told):
    line = only_error(*call_tool(TOOL, plan, "--work-dir", tmp_path / "w", *options))
    assert told in line and line.endswith("; leave it out")
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    "options", [["--task", "0", "--report"], ["--prepare", "--commands"], ["--task", "x"]]
)
def test_parts_that_exclude_each_other(call_tool, options):
    code, _, errors = call_tool(TOOL, "quick", *options)
    assert code == 2 and "error: argument" in errors


def test_work_folder_that_cannot_be_written(call_tool, plan, tmp_path):
    (tmp_path / "w").write_text("a file")
    (tmp_path / "data/val").mkdir(parents=True)
    arguments = (plan, "--work-dir", tmp_path / "w", "--data-root", tmp_path / "data")
    line = only_error(*call_tool(TOOL, *arguments))
    assert str(tmp_path / "w") in line


def test_data_that_are_absent_are_named_before_anything_is_written(call_tool, plan, tmp_path):
    result = call_tool(TOOL, plan, "--work-dir", tmp_path / "w", "--data-root", tmp_path / "no")
    line = only_error(*result)
    assert f"reads {tmp_path}/no/val, which is not there" in line and "--data-root" in line
    assert not (tmp_path / "w").exists()


def test_first_start_is_noted_and_other_data_are_refused(call_tool, tmp_path):
    content = tiny()
    content["make_data"] = True
    plan, work = write_plan(tmp_path / "q.yml", content), tmp_path / "w"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        arguments = (plan, "--task", 0, "--work-dir", work, "--data-root", tmp_path / name)
        line = only_error(*call_tool(TOOL, *arguments))
        told = "needs data, which is not done here" if name == "one" else "were made with the data"
        assert told in line
        note = json.loads((work / "plan.json").read_text())
        assert note["data_root"] == str(tmp_path / "one") and note["seeds"] == [0]


@pytest.mark.slow
def test_one_network_of_a_plan_with_its_own_imports(run_warm, class_folders, tmp_path):
    """As a program: with a server of its own, which ends with it."""
    from processes import users_of

    plan, work = write_plan(tmp_path / "p.yml", runnable()), tmp_path / "w"
    arguments = (plan, "--task", 0, "--work-dir", work, "--data-root", class_folders)
    process = run_warm(TOOL, *arguments)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "[1/1] tiny/gap_lrfast_seed0/train: top-1" in process.stdout
    done = json.loads((work / "tiny/gap_lrfast_seed0/train/done.json").read_text())
    assert done["about"]["arm"] == "gap" and len(done["numbers"]["top1"]) == 1
    assert not users_of(work)
