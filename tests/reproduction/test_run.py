"""Jobs run once, in their order, whatever ends the process that runs them."""

import contextlib
import itertools
import json
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from processes import is_running, users_of

from gcp_mm.errors import UserError
from gcp_mm.locks import hold_file
from gcp_mm.reproduction import run as room
from gcp_mm.reproduction.jobs import Job
from gcp_mm.reproduction.results import DONE, STARTED, write_done
from gcp_mm.reproduction.run import Runs, command_words, cost
from gcp_mm.reproduction.slots import Slots, find_slots, visible_devices
from reproduction.plans import LANDSCAPE, runnable, write_plan


class FakeWorker:
    """A command that ends when a test says so.

    Attributes:
        started: The words of all, in their order.
        most: How many were there at once.
    """

    def __init__(self, words, log, threads, devices):
        self.words, self.looks = words, 0
        self.started.append(list(words))
        self.seen.append((threads, devices))
        self.alive.add(self)
        type(self).most = max(self.most, len(self.alive))
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(self.prints.get(words[-1], "") + "\n")

    def code(self):
        self.looks += 1
        if self.looks < 3:
            return None
        self.alive.discard(self)
        return self.codes.get(self.words[-1], 0)

    def terminate(self):
        self.stopped.append(self.words[-1])

    def wait(self, seconds):
        self.waited.append((self.words[-1], seconds > 0))


@pytest.fixture
def fake(monkeypatch):
    class Fake(FakeWorker):
        started, seen, stopped, waited, most = [], [], [], [], 0
        alive, codes, prints = set(), {}, {}

    monkeypatch.setattr(room, "Worker", Fake)
    monkeypatch.setattr(room, "_PAUSE", 0.0)
    return Fake


def job(name, *needs, digest="d", commands=None, **given):
    commands = commands or ((("gcp-mm", "corrupt", name)),)
    return Job(name, "corrupt", commands, given.pop("task", "t"), needs, digest=digest, **given)


def run(jobs, work, number=2):
    Runs(jobs, work, work / "data", Slots([None] * number, 1)).run()


def names(fake):
    return [words[-1] for words in fake.started]


def test_every_job_runs_once_after_what_it_needs(fake, tmp_path, capfd):
    jobs = [job("a"), job("b", "a"), job("c", "a"), job("d", "b", "c"), job("e")]
    run(jobs, tmp_path)
    order = names(fake)
    assert sorted(order) == ["a", "b", "c", "d", "e"]
    assert all(order.index(need) < order.index(j.name) for j in jobs for need in j.needs)
    assert fake.most == 2 and fake.started[0] == ["gcp-mm", "corrupt", "a"]
    for one in jobs:
        assert json.loads((tmp_path / one.name / DONE).read_text())["digest"] == "d"
    printed = capfd.readouterr().out
    assert "[5/5] d: done" in printed
    assert not list(tmp_path.rglob(".*.lock"))


@pytest.mark.parametrize("number", [1, 3, 9])
def test_no_more_jobs_at_once_than_slots(fake, tmp_path, number):
    run([job(f"j{index}") for index in range(7)], tmp_path, number)
    assert fake.most == min(number, 7) and len(fake.started) == 7


def test_trainings_share_gpus_and_what_measures_takes_one(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "write_done", lambda *_: {"kind": "", "numbers": {}})
    busy, alike = set(), []

    class Exclusive(fake):
        def __init__(self, words, log, threads, devices):
            super().__init__(words, log, threads, devices)
            assert not busy.intersection(devices), (words, devices)
            busy.update(devices)
            self.devices = devices
            alike.append(len(self.alive))

        def code(self):
            found = super().code()
            if found is not None:
                busy.difference_update(self.devices)
            return found

    monkeypatch.setattr(room, "Worker", Exclusive)
    names = ["0", "GPU-3f", "5", "6"]
    trainings = [Job(f"t{n}", "train", (("gcp-mm", "t", f"t{n}"),), "t") for n in range(4)]
    measured = [job(f"m{n}{k}", f"t{n}") for n in range(4) for k in range(3)]
    slots = Slots(names, 4, gpus_per_run=2)
    Runs([*trainings, *measured], tmp_path, tmp_path, slots).run()
    assert {threads for threads, _ in fake.seen} == {4}
    taken = {
        words[-1]: devices for words, (_, devices) in zip(fake.started, fake.seen, strict=True)
    }
    assert len(taken) == 16
    assert all(len(devices) == (2 if name[0] == "t" else 1) for name, devices in taken.items())
    assert {name for devices in taken.values() for name in devices} == set(names)
    # Two trainings, and as many measurements as there are GPUs.
    assert alike[:2] == [1, 2] and max(alike) == 4


def test_gpus_beyond_those_of_the_jobs_that_were_asked_for_are_left(fake, tmp_path):
    slots = Slots(list("01234567"), 2, gpus_per_run=2, number=2)
    run_on = Runs([job(f"j{n}") for n in range(5)], tmp_path, tmp_path, slots)
    run_on.run()
    assert fake.most == 2


def test_what_is_done_is_not_done_again(fake, tmp_path, capfd):
    jobs = [job("a"), job("b", "a")]
    run(jobs[:1], tmp_path)
    run(jobs, tmp_path)
    assert names(fake) == ["a", "b"]
    assert "1 of 2 runs are done already" in capfd.readouterr().out
    run(jobs, tmp_path)
    assert names(fake) == ["a", "b"]


def test_commands_of_a_job_run_one_after_the_other(fake, tmp_path):
    commands = (("gcp-mm", "corrupt", "one"), ("gcp-mm", "corrupt", "two"))
    run([job("a", commands=commands)], tmp_path)
    assert names(fake) == ["one", "two"] and fake.most == 1


def test_second_command_is_left_out_if_the_first_fails(fake, tmp_path):
    fake.codes["one"] = 3
    commands = (("gcp-mm", "corrupt", "one"), ("gcp-mm", "corrupt", "two"))
    with pytest.raises(UserError, match="exit code 3"):
        run([job("a", commands=commands)], tmp_path)
    assert names(fake) == ["one"]


def test_failure_of_one_job_lets_the_others_finish(fake, tmp_path, capfd):
    fake.codes["a"] = 2
    fake.prints["a"] = "INFO - loaded\nerror: the image 'x.png' is damaged"
    jobs = [job("a"), job("b"), job("c", "a"), job("d", "c"), job("e", "b")]
    with pytest.raises(UserError) as error:
        run(jobs, tmp_path)
    text = str(error.value)
    assert sorted(names(fake)) == ["a", "b", "e"] and len(text.splitlines()) == 1
    assert "1 of 5 runs failed (a; 2 that need failed ones were not started)" in text
    assert "exit code 2, error: the image 'x.png' is damaged. " in text
    assert f"Its output is in {tmp_path}/a/log.txt" in text and "the plan goes on" in text
    assert "failed: a: exit code 2" in capfd.readouterr().out
    assert not (tmp_path / "a" / DONE).exists() and (tmp_path / "e" / DONE).exists()
    # Started again when it is mended.
    fake.codes.clear()
    fake.started.clear()
    run(jobs, tmp_path)
    assert names(fake) == ["a", "c", "d"]


def test_last_words_are_those_of_this_start(fake, tmp_path):
    fake.codes["a"] = -9
    fake.prints["a"] = "of the first start"
    with pytest.raises(UserError, match="exit code -9, of the first start"):
        run([job("a")], tmp_path)
    fake.prints["a"] = "  \n \n"
    with pytest.raises(UserError, match="exit code -9, without a word"):
        run([job("a")], tmp_path)
    fake.prints["a"] = "x" * 10_000
    with pytest.raises(UserError) as error:
        run([job("a")], tmp_path)
    assert len(str(error.value)) < 1000


def test_a_job_that_left_no_result_fails_and_the_others_finish(fake, tmp_path):
    bad = Job("bad", "train", (("gcp-mm", "train", "x.py"),), "t", about={"epochs": 2}, digest="d")
    with pytest.raises(UserError, match=r"1 of 2 runs failed \(bad\).* not a work folder"):
        run([bad, job("good")], tmp_path)
    assert (tmp_path / "good" / DONE).exists() and not (tmp_path / "bad" / DONE).exists()


def test_whatever_is_wrong_with_what_a_job_left_is_the_failure_of_that_job(fake, tmp_path):
    folder = tmp_path / "bad"
    (folder / "test/1").mkdir(parents=True)
    (folder / "test/1/1.json").touch()  # metrics that were cut
    bad = Job("bad", "detector", (("gcp-mm", "test", "bad"),), "t", digest="d")
    told = r"1 of 3 runs failed \(bad; 1 .*what it left cannot be read \(IndexError: list .*\)\."
    with pytest.raises(UserError, match=told):
        run([bad, job("good"), job("after", "bad")], tmp_path)
    assert sorted(names(fake)) == ["bad", "good"]
    assert (tmp_path / "good" / DONE).exists() and not (folder / DONE).exists()
    assert not list(tmp_path.rglob(".*.lock"))


def test_what_is_needed_and_nowhere_done_is_named(fake, tmp_path):
    with pytest.raises(UserError, match=r"b needs x, y, which is not done here: .*--prepare"):
        run([job("a"), job("b", "a", "x", "y")], tmp_path)
    assert names(fake) == ["a"]


def test_a_folder_of_another_plan_is_refused_before_anything_starts(fake, tmp_path):
    run([job("b")], tmp_path)
    fake.started.clear()
    with pytest.raises(UserError, match="other settings, bases or data"):
        run([job("a"), job("b", digest="other")], tmp_path)
    assert fake.started == []


def test_an_unfinished_run_of_another_plan_is_refused(fake, tmp_path):
    fake.codes["a"] = 1
    with pytest.raises(UserError, match="failed"):
        run([job("a")], tmp_path)
    assert json.loads((tmp_path / "a" / STARTED).read_text())["digest"] == "d"
    fake.codes.clear()
    with pytest.raises(UserError, match="other settings, bases or data"):
        run([job("a", digest="other")], tmp_path)
    run([job("a")], tmp_path)


def test_a_job_of_another_process_is_not_touched_and_the_others_go_on(fake, tmp_path):
    (tmp_path / "a").mkdir()
    jobs = [job("a"), job("b", "a"), job("c")]
    # Another holder, as the system sees it.
    held = hold_file(tmp_path / "a" / DONE, "is being made", "wait")
    with held, pytest.raises(UserError, match=r"1 of 3 runs failed \(a; 1 .* is being made"):
        run(jobs, tmp_path)
    assert names(fake) == ["c"] and not (tmp_path / "a" / STARTED).exists()
    run(jobs, tmp_path)
    assert names(fake) == ["c", "a", "b"]


def test_a_job_that_another_process_has_finished_meanwhile_is_counted(fake, tmp_path, capfd):
    jobs = [job("a"), job("b", "a"), job("c", "b")]
    work = tmp_path / "work"

    class Meanwhile(fake):
        def __init__(self, words, *more):
            super().__init__(words, *more)
            if words[-1] == "a":  # and so did the other process, with the next one
                write_done(work, jobs[1], 1.0)

    (work / "b").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "Worker", Meanwhile)
        run(jobs, work)
    assert names(fake) == ["a", "c"]
    assert "[3/3] c: done" in capfd.readouterr().out
    assert not list(work.rglob(".*.lock"))


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_workers_are_stopped_and_locks_given_back_when_it_ends(fake, tmp_path, monkeypatch, end):
    sleeps = itertools.count()

    def sleep(_):
        if next(sleeps) == 1:
            raise end

    monkeypatch.setattr(room.time, "sleep", sleep)
    with pytest.raises(end):
        run([job("a"), job("b"), job("c")], tmp_path)
    assert fake.stopped == ["a", "b"] and fake.waited == [("a", True), ("b", True)]
    assert not list(tmp_path.rglob(".*.lock")) and not list(tmp_path.rglob(DONE))


def test_config_is_written_with_the_folders_whole_paths(fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = "a = '{work}'\nb = \"{data}\"\n"
    Runs([job("a", config=config)], Path("w"), Path("d"), Slots([None], 1)).run()
    text = (tmp_path / "w/a/config.py").read_text()
    assert text == f"a = '{tmp_path}/w'\nb = \"{tmp_path}/d\"\n"


def test_config_of_a_training_names_the_folders_of_now_when_it_is_measured(fake, tmp_path):
    """Also after the data, the runs or this package have moved."""
    config = "a = '{data}'\n"
    jobs = [job("t", config=config), job("m", "t")]
    Runs(jobs[:1], tmp_path / "w", tmp_path / "d", Slots([None], 1)).run()
    (tmp_path / "w").rename(tmp_path / "v")
    Runs(jobs, tmp_path / "v", tmp_path / "e", Slots([None], 1)).run()
    assert names(fake) == ["t", "m"]
    assert (tmp_path / "v/t/config.py").read_text() == f"a = '{tmp_path}/e'\n"
    assert not (tmp_path / "v/m/config.py").exists()


@pytest.mark.parametrize("meanwhile", [False, True])
def test_arms_start_from_the_same_weights(fake, tmp_path, meanwhile):
    """Weights that are replaced after a run of a plan has begun make its arms no pairs."""
    weights, config = tmp_path / "data/w.pth", "load_from = '{data}/w.pth'\n"
    weights.parent.mkdir()
    weights.write_text("first")

    class Replaced(fake):
        def __init__(self, words, *more):
            super().__init__(words, *more)
            weights.write_text("second")

    jobs = [job("gap", config=config), job("gcp", config=config), job("scratch")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "Worker", Replaced)
        if meanwhile:
            with pytest.raises(UserError, match=r"1 of 3 runs failed .*/gap' holds a run that st"):
                run(jobs, tmp_path, number=1)
            assert names(fake) == ["gap", "scratch"]
            return
        run(jobs[:1], tmp_path)
    with pytest.raises(UserError, match=r"1 of 3 .*gap' holds a run that started from another"):
        run(jobs, tmp_path)
    assert names(fake) == ["gap", "scratch"] and not (tmp_path / "gcp" / STARTED).exists()
    weights.write_text("first")
    run(jobs, tmp_path)
    assert names(fake) == ["gap", "scratch", "gcp"]


def test_training_goes_on_where_it_was(tmp_path):
    words = ("gcp-mm", "train", "{work}/c.py", "--work-dir", "{work}")
    found = ["gcp-mm", "train", "w/c.py", "--work-dir", "w"]
    assert command_words(words, Path("w"), Path("d"), tmp_path) == found
    (tmp_path / "epoch_3.pth").touch()
    (tmp_path / "epoch_12.pth").touch()
    assert command_words(words, Path("w"), Path("d"), tmp_path) == [*found, "--resume"]
    test = ("gcp-mm", "test", "{data}/c.py", "{latest}")
    expected = ["gcp-mm", "test", "d/c.py", str(tmp_path / "epoch_12.pth")]
    assert command_words(test, Path("w"), Path("d"), tmp_path) == expected


def test_cores_are_shared(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    slots = [find_slots(1, number) for number in (None, 1, 2, 4, 100)]
    assert [(len(slot.devices), slot.threads) for slot in slots] == [
        (6, 1),
        (1, 6),
        (2, 3),
        (4, 1),
        (100, 1),  # as somebody has asked for
    ]
    assert all(slot.most == len(slot.devices) for slot in slots)
    assert all(slot.devices == [None] * len(slot.devices) for slot in slots)


def test_gpus_are_shared(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    slots = [find_slots(*of) for of in ((1, None), (8, None), (3, None), (2, 1))]
    assert all(slot.devices == list("01234567") for slot in slots)
    # Threads are of each process, and a training has one for each of its GPUs.
    found = [(slot.gpus_per_run, slot.most, slot.threads) for slot in slots]
    assert found == [(1, 8, 2), (8, 8, 2), (3, 8, 2), (2, 1, 8)]
    train, other = Job("t", "train", ((),), "t"), Job("t", "curvature", ((),), "t")
    assert [slots[1].of(one) for one in (train, other)] == [8, 1]
    with pytest.raises(UserError, match="--jobs 9: this machine has 8 GPUs"):
        find_slots(1, 9)
    with pytest.raises(UserError, match="takes 9 GPUs, and this machine has 8"):
        find_slots(9)


def test_several_gpus_are_asked_for_only_where_something_is_computed(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(UserError, match="takes 2 GPUs, and this machine has 0"):
        find_slots(2)
    assert find_slots(2, data_only=True) == Slots([None] * 4, 1)
    # Also where there are some: pictures are made on the cores.
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match="takes 2 GPUs, and this machine has 1"):
        find_slots(2)
    assert find_slots(2, 3, data_only=True) == Slots([None] * 3, 1)


@pytest.mark.parametrize(
    ("variable", "count", "names"),
    [
        (None, 3, ["0", "1", "2"]),
        ("", 0, []),
        ("4,6", 2, ["4", "6"]),
        (" 7 , 2", 2, ["7", "2"]),
        ("GPU-8932f937-d72c,GPU-0a1b", 2, ["GPU-8932f937-d72c", "GPU-0a1b"]),
        ("3,-1,5", 1, ["3"]),  # what stands behind an unknown one is not seen
    ],
)
def test_gpus_of_others_are_left_to_them(monkeypatch, variable, count, names):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_devices(count) == names
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    if count:
        assert find_slots(1).devices == names


def test_work_of_a_job_is_at_least_a_step():
    assert cost(job("a", units=0.0)) == 1
    assert cost(job("a", units=3.0)) == 3 * cost(job("a"))


# From here on with real processes.


@pytest.fixture(scope="module")
def parents(repo, loaded_env, tmp_path_factory):
    """Return a function that starts `gcp-mm reproduce`, without its imports."""
    program = [loaded_env["PYTHON"], Path(__file__).with_name("parents.py")]
    env = {**loaded_env, "PYTHONPATH": f"{repo}:{repo}/tests"}
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    cwd = tmp_path_factory.mktemp("cwd")
    with subprocess.Popen(program, env=env, cwd=cwd, start_new_session=True, **pipes) as process:

        def ask(**question):
            process.stdin.write(json.dumps(question) + "\n")
            try:
                return json.loads(process.stdout.readline())
            except BaseException:  # a timeout: the next question would get this one's answer
                process.kill()
                raise

        assert is_running(json.loads(process.stdout.readline()))

        class Parent:
            """A process that runs a plan."""

            def __init__(self, work, *words):
                self.work, self.output = work, work.with_name(f"{work.name}.out")
                words = [*words, "--work-dir", str(work)]
                words += ["--jobs", "2"] * ("--report" not in words)
                self.pid = ask(words=list(map(str, words)), output=str(self.output))

            def wait(self):
                return ask(wait=self.pid), self.output.read_text()

            def end(self, number):
                """Send it a signal, and see that nobody goes on."""
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)
                code, text = self.wait()
                deadline = time.monotonic() + 2
                while (left := users_of(self.work)) and time.monotonic() < deadline:
                    time.sleep(0.05)
                assert not left, left
                return code, text

        try:
            yield Parent
        finally:
            process.stdin.close()
            process.wait(20)


@pytest.fixture(scope="module")
def tiny_plan(class_folders, tmp_path_factory):
    """Return two trainings of two epochs and a line through the loss of each."""
    content = runnable(landscape={**LANDSCAPE, "interval": 2}, shorten=0.06)
    return write_plan(tmp_path_factory.mktemp("plan") / "tiny.yml", content), class_folders


def pages(work):
    """Return what the page says, without how long it took."""
    numbers = json.loads((work / "report/numbers.json").read_text())
    numbers.pop("seconds")
    for entry in numbers["runs"]:
        assert entry.pop("seconds") > 0
    markdown = (work / "report/index.md").read_text()
    text, number = re.subn(r"[\d.]+ hours", "", markdown)
    assert number == 1
    drawings = {path.name: path.read_text() for path in work.glob("report/*.svg")}
    assert len(drawings) == 4
    return numbers, text, drawings


def finished(work):
    """Return when each job was done, and how long its log is."""
    return {
        path.parent: (path.stat().st_mtime_ns, (path.parent / "log.txt").stat().st_size)
        for path in work.rglob(DONE)
    }


@pytest.mark.slow
@pytest.mark.process
def test_plan_that_is_killed_ten_times_ends_with_the_same_page(parents, tiny_plan, tmp_path):
    plan, data = tiny_plan
    begun = time.monotonic()
    straight = parents(tmp_path / "straight", plan, "--data-root", data)
    assert straight.wait()[0] == 0, straight.output.read_text()
    duration = time.monotonic() - begun
    assert len(finished(straight.work)) == 4

    seed = random.randrange(10**6)
    moments, work, done = random.Random(seed), tmp_path / "killed", {}
    for _ in range(10):
        parent = parents(work, plan, "--data-root", data)
        time.sleep(moments.uniform(0.02, 0.3) * duration)
        code, _ = parent.end(signal.SIGKILL)
        assert code in (-signal.SIGKILL, 0), seed
        for path, state in done.items():
            assert finished(work)[path] == state, (path, seed)
        done = finished(work)
    parent = parents(work, plan, "--data-root", data)
    code, text = parent.wait()
    assert code == 0, (seed, text)
    for path, state in done.items():
        assert finished(work)[path] == state, (path, seed)
    for found, expected in zip(pages(work), pages(straight.work), strict=True):
        assert found == expected, seed


@pytest.mark.slow
@pytest.mark.process
def test_a_failing_run_is_named_and_the_plan_goes_on(parents, class_folders, tmp_path):
    content = runnable()
    weights = tmp_path / "damaged.pth"
    weights.write_text("no weights")
    content["groups"]["tiny"]["arms"]["gcp"]["settings"]["load_from"] = str(weights)
    plan, work = write_plan(tmp_path / "p.yml", content), tmp_path / "work"
    for again in (False, True):
        code, text = parents(work, plan, "--data-root", class_folders).wait()
        (line,) = [line for line in text.splitlines() if line.startswith("error: ")]
        assert code == 2 and "Traceback" not in text
        assert "1 of 2 runs failed (tiny/gcp_lrfast_seed0/train)" in line
        assert "damaged.pth" in line and f"{work}/tiny/gcp_lrfast_seed0/train/log.txt" in line
        assert ("1 of 2 runs are done already" in text) == again
        assert [path.parent.parent.name for path in work.rglob(DONE)] == ["gap_lrfast_seed0"]
    code, text = parents(work, plan, "--data-root", class_folders, "--report").wait()
    assert code == 0 and "The plan is not finished" in (work / "report/index.md").read_text()


@pytest.mark.slow
@pytest.mark.process
def test_ctrl_c_ends_all_and_a_second_process_is_refused(parents, tiny_plan, tmp_path):
    plan, data = tiny_plan
    work = tmp_path / "work"
    first = parents(work, plan, "--data-root", data)
    deadline = time.monotonic() + 60
    while not list(work.rglob("log.txt")) and time.monotonic() < deadline:
        time.sleep(0.02)
    code, text = parents(work, plan, "--data-root", data).wait()
    said, line = [line for line in text.splitlines() if line.strip()]
    assert code == 2 and said.startswith("4 runs, ") and line.startswith("error: ")
    assert f"is being worked in by process {first.pid}" in line and is_running(first.pid)
    code, text = first.end(signal.SIGINT)
    assert code == 130 and "interrupted" in text and "Traceback" not in text
    assert not list(work.rglob(".*.lock")) and not (work / ".lock").exists()
    # One task of it alone, as on a cluster.
    code, text = parents(work, plan, "--data-root", data, "--task", 1).wait()
    assert code == 0, text
    assert {path.parent.parent.name for path in work.rglob(DONE)} == {"gcp_lrfast_seed0"}
    assert not (work / "report").exists()
