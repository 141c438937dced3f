"""The jobs of the plans: their configs are those of this project, their commands are understood."""

import argparse
import copy
import functools
import importlib
import itertools
import math
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import gcp_mm.registry  # noqa: F401
from gcp_mm.errors import UserError
from gcp_mm.plots.learning_rates import learning_rates
from gcp_mm.reproduction import configs as room
from gcp_mm.reproduction.configs import resolve, resolve_config, shortened, start_files
from gcp_mm.reproduction.jobs import DATA_TASK, choose_task, make_jobs, tasks
from gcp_mm.reproduction.plan import plans, read_plan
from reproduction.plans import HOSTILE, ROBUSTNESS, full, tiny, write_plan

PLANS = tuple(plans())
# Of controls that have as many weights behind the trunk as GCP.
LARGE = [("quick", "resnet18"), ("imagenette", "resnet18"), ("imagenet", "resnet18")]


@functools.cache
def plan_of(name):
    return read_plan(name)


@functools.cache
def jobs_of(name):
    return make_jobs(plan_of(name))


def read_config(text, folder, work="work", data="data"):
    path = folder / "config.py"
    path.write_text(resolve_config(text, Path(work), Path(data)), encoding="utf-8")
    return Config.fromfile(path)


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    """Return the configs of the first seed of a plan, by the names of their jobs."""
    folder = tmp_path_factory.mktemp("configs")

    @functools.cache
    def load(plan):
        return {
            job.name: read_config(job.config, folder, data=plan_of(plan).content["data_root"])
            for job in jobs_of(plan)
            if job.config and job.about["seed"] == plan_of(plan).seeds[0]
        }

    return load


@pytest.fixture(scope="module")
def build():
    """Return a function that builds the model of a config, each only once."""
    built = {}

    def get(cfg):
        model = copy.deepcopy(cfg.model)
        model.backbone.pop("init_cfg", None)
        if "data_preprocessor" in cfg:
            model.setdefault("data_preprocessor", copy.deepcopy(cfg.data_preprocessor))
        key = repr((cfg.default_scope, model))
        if key not in built:
            init_default_scope(cfg.default_scope)
            built[key] = MODELS.build(model).eval()
        return built[key]

    return get


@pytest.fixture(autouse=True)
def restore_scope():
    from mmengine.registry import DefaultScope

    before = dict(DefaultScope._instance_dict)
    yield
    DefaultScope._instance_dict.clear()
    DefaultScope._instance_dict.update(before)


def of_kind(configs, detectors):
    return {name: cfg for name, cfg in configs.items() if ("/detector_" in name) == detectors}


@pytest.mark.parametrize("plan", PLANS)
def test_names_are_of_one_job_each_and_come_after_what_they_need(plan):
    known = set()
    for job in jobs_of(plan):
        assert job.name not in known and known.issuperset(job.needs)
        known.add(job.name)
        assert job.task in (DATA_TASK, job.name.rpartition("/")[0]) and len(job.digest) == 64
        # What a task needs is in it, or is made before all tasks.
        for name in job.needs:
            needed = next(other for other in jobs_of(plan) if other.name == name)
            assert needed.task in (job.task, DATA_TASK)
    assert len({job.digest for job in jobs_of(plan)}) == len(known)


@pytest.mark.parametrize("plan", PLANS)
def test_a_task_is_a_training_and_what_follows_from_it(plan):
    found = tasks(jobs_of(plan))
    groups, seeds = plan_of(plan).groups.values(), plan_of(plan).seeds
    number = sum(len(group["arms"]) * len(group["schedules"]) for group in groups) * len(seeds)
    assert len(found) == number
    for index, (name, jobs) in enumerate(found.items()):
        assert [job.kind for job in jobs].count("train") == 1 and jobs[0].kind == "train"
        if index in (0, 1, number - 1):
            assert choose_task(jobs_of(plan), index) == jobs
        assert name.endswith(f"_seed{jobs[0].about['seed']}")
    for wrong in (-1, number):
        with pytest.raises(UserError, match=rf"no task {wrong}: the plan has 0 to {number - 1}"):
            choose_task(jobs_of(plan), wrong)


@pytest.mark.parametrize("plan", PLANS)
def test_seeds_differ_in_nothing_else(plan):
    by_seed = {}
    for job in jobs_of(plan):
        if job.task != DATA_TASK:
            seed = job.about["seed"]
            text = repr((job.name, job.commands, job.config)).replace(f"seed{seed}", "seedN")
            text = text.replace(f"randomness = {{\\'seed\\': {seed}}}", "randomness = N")
            text = text.replace(f"randomness = {{'seed': {seed}}}", "randomness = N")
            by_seed.setdefault(seed, []).append(text)
    first, *others = by_seed.values()
    assert others and all(other == first for other in others)


class Parsed(Exception):
    """Ends a command when its words have been understood."""


@pytest.mark.parametrize("plan", PLANS)
def test_every_command_is_understood_by_its_tool(repo, monkeypatch, plan):
    parse = argparse.ArgumentParser.parse_args
    seen = []

    def parse_args(parser, argv=None, namespace=None):
        seen.append(parse(parser, argv, namespace))
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    commands = {
        tuple(word.replace(f"seed{job.about.get('seed')}", "") for word in words)
        for job in jobs_of(plan)
        for words in job.commands
    }
    for program, *words in commands:
        assert not any("None" in word for word in words)
        with pytest.raises(Parsed):
            if program == "make_demo_data.py":
                monkeypatch.setattr(sys, "argv", [program, *words])
                runpy.run_path(str(repo / "tools" / program), run_name="__main__")
            else:
                assert program == "gcp-mm"
                importlib.import_module(f"gcp_mm.cli.{words[0]}").main(words[1:], "gcp-mm")
    assert len(seen) == len(commands) > 20


@pytest.mark.parametrize("plan", PLANS)
def test_no_placeholder_is_left(plan):
    for job in jobs_of(plan):
        for text in (*itertools.chain(*job.commands), job.config):
            put_in = resolve_config if text == job.config else resolve
            found = put_in(text, Path("w"), Path("d"))
            assert "{work}" not in found and "{data}" not in found and "{configs}" not in found


@pytest.mark.parametrize("plan", PLANS)
def test_schedule_has_its_epochs_and_the_published_curve(repo, configs, plan):
    seen = set()
    for name, cfg in of_kind(configs(plan), detectors=False).items():
        group_name, task, _ = name.split("/")
        group = plan_of(plan).groups[group_name]
        schedule = next(s for s in group["schedules"] if f"_{s}_seed" in task)
        base = group["schedules"][schedule][-1]
        if (base, group.get("shorten", 1)) in seen:
            continue
        seen.add((base, group.get("shorten", 1)))
        published = Config.fromfile(repo / "configs" / base)
        epochs, factor = published.train_cfg.max_epochs, group.get("shorten", 1)
        assert cfg.train_cfg.max_epochs == max(1, round(epochs * factor))
        assert cfg.train_cfg.val_interval == 1
        assert cfg.optim_wrapper == published.optim_wrapper
        # As many iterations as the table has factors, twice: each has the rate of one.
        if factor == 1:
            assert cfg.param_scheduler == published.param_scheduler
            continue
        number = len(cfg.param_scheduler.table)
        assert number == (200 if "finetune" in base else epochs)
        rates = learning_rates(cfg, epoch_length=2 * number).ravel()
        wanted = learning_rates(published, number // epochs).ravel()
        wanted = wanted.repeat(2 * cfg.train_cfg.max_epochs)
        assert rates == pytest.approx(wanted, rel=1e-5)
    assert len(seen) >= 3


@pytest.mark.parametrize("plan", PLANS)
def test_what_every_config_says(configs, plan):
    found = configs(plan)
    assert len(found) > 10
    for name, cfg in found.items():
        assert cfg.randomness.seed == plan_of(plan).seeds[0]
        roots = [value for key, value in walk(cfg.to_dict()) if key == "data_root"]
        used = [cfg.train_dataloader, cfg.get("val_dataloader") or cfg.test_dataloader]
        for loader in used:
            root = Path(loader.dataset.data_root)
            assert root.is_relative_to(plan_of(plan).content["data_root"]), (name, root)
        assert roots
        probes = [hook for hook in cfg.custom_hooks if hook.type == "gcp_mm.LandscapeHook"]
        group = plan_of(plan).groups[name.split("/")[0]]
        schedule = group.get("landscape", {}).get("schedule")
        wanted = f"_{schedule}_" in name and "/train" in name
        assert len(probes) == wanted
        # Those of the bases are still there.
        hooks = [hook.type for hook in cfg.custom_hooks]
        assert "gcp_mm.FiniteCheckHook" in hooks and hooks.count("gcp_mm.EpochSeedHook") == 1
        assert cfg.train_dataloader.worker_init_fn == {"type": "gcp_mm.seed_worker"}
        assert cfg.train_dataloader.persistent_workers is False
        if "/detector_" in name:
            start = cfg.model.backbone.init_cfg
            assert start.prefix == "backbone." and start.checkpoint.startswith("work/")
            assert Path(start.checkpoint).parent.name == "train"


@pytest.mark.parametrize("plan", PLANS)
def test_every_training_scales_its_learning_rate_to_the_batch(plan):
    words = [words for job in jobs_of(plan) for words in job.commands if words[1] == "train"]
    kinds = [job.kind for job in jobs_of(plan)]
    assert len(words) == kinds.count("train") + kinds.count("detector")
    assert all(command[-1] == "--auto-scale-lr" for command in words)


def test_a_warm_up_within_an_epoch_is_kept_when_a_schedule_is_shortened(tmp_path):
    content = tiny(shorten=0.4, schedules={"lrfast": ["_base_/schedules/finetune_sgd_5e.py"]})
    cfg = read_config(make(tmp_path, content)[0].config, tmp_path)
    table = cfg.param_scheduler.table
    assert (cfg.train_cfg.max_epochs, len(table)) == (2, 200)
    # From a hundredth up within a fifth, and down a cosine that has begun with it.
    assert table[0] == pytest.approx(0.01, rel=1e-3) and table[-1] < 0.01
    top = table.index(max(table))
    assert abs(top - 39) <= 1
    assert max(table) == pytest.approx((1 + math.cos(math.pi * top / 200)) / 2, abs=0.01)
    assert max(table) > 0.9
    # One that changes with the epochs has a factor for each.
    cfg = read_config(make(tmp_path, tiny(shorten=0.4))[0].config, tmp_path)
    table = cfg.param_scheduler.table
    assert len(table) == round(cfg.train_cfg.max_epochs / 0.4)
    assert table[0] == 1


SCHEDULE = """
train_cfg = dict(by_epoch=True, max_epochs={epochs}, {loop})
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, {warm_up}),
    dict(type='CosineAnnealingLR', by_epoch=True, {cosine}),
]
"""


@pytest.fixture
def schedule(tmp_path):
    """Return a function that writes a schedule: a warm-up and a cosine."""

    def write(epochs=20, loop="", warm_up="end=1", cosine=""):
        path = tmp_path / "schedule.py"
        path.write_text(SCHEDULE.format(**locals()))
        shortened.cache_clear()
        return str(path)

    return write


def test_a_warm_up_of_an_epoch_is_kept_in_a_schedule_of_many(schedule):
    by_iteration = "convert_to_iter_based=True"
    base = schedule(300, warm_up=f"end=1, {by_iteration}", cosine=by_iteration)
    loop, table = shortened(base, 0.1)
    assert loop == {"max_epochs": 30} and len(table) == 3000
    assert table[0] == pytest.approx(0.01) and max(table) > 0.99 and table[-1] < 0.01
    # The warm-up ends with the first epoch of the 300.
    assert 8 <= table.index(max(table)) <= 10


@pytest.mark.parametrize("cosine", ["", "convert_to_iter_based=True"])
def test_a_schedule_that_counts_iterations_is_not_shortened(schedule, cosine):
    base = schedule(warm_up="by_epoch=False, end=500", cosine=cosine)
    with pytest.raises(UserError, match="its LinearLR counts iterations .* leave out shorten"):
        shortened(base, 0.5)
    assert shortened(base, 1) == ({"max_epochs": 20}, None)


def test_a_shortened_schedule_has_an_accuracy_after_every_epoch(schedule):
    """Else a result of hours would be none."""
    loops = {
        "val_interval=1": {},
        "val_interval=2": {"val_interval": 1},
        "val_begin=5": {"val_begin": 1},
        "dynamic_intervals=[(3, 2)]": {"dynamic_intervals": None},
    }
    for loop, added in loops.items():
        for factor, epochs in ((1, 20), (0.5, 10)):
            found, _ = shortened(schedule(loop=loop), factor)
            assert found == {"max_epochs": epochs, **added}
    assert shortened("_base_/schedules/resnet_lrnorm_2e_bs64.py", 1)[0]["val_interval"] == 1


def test_digest_of_what_shares_its_batch_changes_with_the_gpus(tmp_path):
    found = [digests(make(tmp_path, {**full(), **more})) for more in ({}, *GPUS)]
    absent, one, four, eight = found
    assert absent == one
    kept = {name for name in one if one[name] == four[name] or four[name] == eight[name]}
    assert kept == {"tiny/make_imagenet_c", "tiny/make_imagenet_p"}


GPUS = [{"gpus_per_run": number} for number in (1, 4, 8)]


def test_files_that_a_training_starts_from(tmp_path):
    content = tiny()
    group = content["groups"]["tiny"]

    def starts():
        return [start_files(job.config) for job in make(tmp_path, content)]

    assert starts() == [(), ()]
    group["settings"]["load_from"] = "{data}/it's/{work}.pth"
    group["arms"]["gcp"]["settings"]["load_from"] = "https://a.b/c.pth"
    assert starts() == [("{data}/it's/{work}.pth",), ()]
    group["settings"]["load_from"] = "weights.pth"
    group["arms"]["gcp"]["settings"]["load_from"] = None
    assert starts() == [("weights.pth",), ()]
    start = {"type": "Pretrained", "checkpoint": "trunk.pth"}
    group["arms"]["gcp"]["settings"]["model"]["backbone"] = {"init_cfg": start}
    assert starts() == [("weights.pth",), ("trunk.pth",)]
    group["arms"]["gcp"]["settings"].pop("load_from")
    assert starts()[1] == ("weights.pth", "trunk.pth")
    # Of bases, if the plan says nothing else; a detector starts from its classifier.
    text = "_base_ = [\n    '{configs}/finetune/resnet50_gcp_folder.py',\n]\n"
    assert start_files(text) == ("checkpoints/resnet50_gcp_lrnorm.pth",)
    assert start_files(text + "load_from = None\n") == ()
    found = {job.kind: start_files(job.config) for job in make(tmp_path, full())}
    assert set(found.values()) == {()} and "detector" in found


def walk(value):
    """Generate the keys and values of nested tables."""
    if isinstance(value, dict):
        yield from value.items()
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for entry in value:
            yield from walk(entry)


@pytest.mark.parametrize(
    ("plan", "group", "arm"),
    [
        (plan, name, arm)
        for plan in PLANS
        for name, group in plan_of(plan).groups.items()
        for arm in group["arms"]
        # The others of ImageNet are the published ones, as another test says.
        if plan != "imagenet" or (name, arm) == ("resnet18", "gap_large")
    ],
)
def test_classifier_builds_and_predicts(configs, build, plan, group, arm):
    schedule = next(iter(plan_of(plan).groups[group]["schedules"]))
    cfg = configs(plan)[f"{group}/{arm}_{schedule}_seed0/train"]
    if cfg.model.backbone.type == "gcp_mm.TIMMBackbone":
        pytest.importorskip("timm")
    with torch.inference_mode():
        logits = build(cfg)(torch.zeros(1, 3, 64, 64))
    assert logits.shape == (1, cfg.model.head.num_classes)
    assert cfg.data_preprocessor.num_classes == cfg.model.head.num_classes


@pytest.mark.parametrize("plan", ["quick", "imagenette"])
def test_every_detector_builds_and_starts_from_its_classifier(configs, build, plan):
    pytest.importorskip("mmdet")
    found = of_kind(configs(plan), detectors=True)
    assert len(found) == 3
    for name, cfg in found.items():
        detector, arm = name.rpartition("_")[2], name.split("/")[1]
        assert arm == f"{'gap' if detector == 'gap' else 'gcp'}_lrnorm_seed0"
        classifier = configs(plan)[f"{name.rpartition('/')[0]}/train"]
        trunk = build(classifier).backbone.state_dict()
        own = build(cfg).backbone.state_dict()
        # All that a checkpoint offers is taken, and its shapes fit.
        assert {key for key in own if not key.startswith("gcp")} >= trunk.keys()
        for key, tensor in trunk.items():
            assert own[key].shape == tensor.shape, (name, key)


@pytest.mark.parametrize(("plan", "group"), LARGE)
def test_large_control_has_as_many_weights_behind_the_trunk(configs, plan, group):
    def size(arm):
        model = configs(plan)[f"{group}/{arm}_lrnorm_seed0/train"].model
        init_default_scope("mmpretrain")
        parts = [MODELS.build(copy.deepcopy(part)) for part in (model.neck, model.head)]
        # Matrices: what batch norms and biases add classifies nothing.
        weights = itertools.chain(*(part.parameters() for part in parts))
        return sum(weight.numel() for weight in weights if weight.ndim > 1)

    large, gcp, small = map(size, ("gap_large", "gcp", "gap"))
    assert small < gcp / 2
    assert large == pytest.approx(gcp, rel=0.01)


OF_A_ROW = (
    *("model", "data_preprocessor", "train_dataloader", "val_dataloader", "test_dataloader"),
    *("val_evaluator", "optim_wrapper", "param_scheduler", "train_cfg", "auto_scale_lr"),
    *("env_cfg", "default_scope", "runner_type", "log_processor"),
)


def plain(value):
    """Return a config as plain data, without what says the same: a scope that is the default."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items() if key != "_scope_"}
    return [plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def pop_seeds(cfg):
    """Take out what seeds each epoch; it is there."""
    assert cfg["custom_hooks"].pop() == {"type": "gcp_mm.EpochSeedHook"}
    assert cfg["train_dataloader"].pop("worker_init_fn") == {"type": "gcp_mm.seed_worker"}
    assert cfg["train_dataloader"].pop("persistent_workers") is False


def test_networks_of_the_imagenet_plan_are_the_published_ones(repo, configs):
    compared = set()
    for name, cfg in of_kind(configs("imagenet"), detectors=False).items():
        group, task, _ = name.split("/")
        arm, schedule = task.removesuffix("_seed0").rsplit("_", 1)
        hooks = [hook for hook in cfg.custom_hooks if hook.type != "gcp_mm.LandscapeHook"]
        cfg = plain({key: cfg.to_dict().get(key) for key in OF_A_ROW} | {"custom_hooks": hooks})
        pop_seeds(cfg)
        published = f"{group}_{'gcp' if arm == 'gcp' else 'gap'}_{schedule}"
        row = Config.fromfile(repo / f"configs/imagenet/{published}.py").to_dict()
        row = plain({key: row.get(key) for key in (*OF_A_ROW, "custom_hooks")})
        row["train_dataloader"].pop("persistent_workers")
        if arm == "gap_stride1":
            assert cfg["model"]["backbone"].pop("strides") == [1, 2, 2, 1]
        if arm == "gap_large":
            assert cfg["model"].pop("head")["type"] == "StackedLinearClsHead"
            row["model"].pop("head")
        assert cfg == row, name
        compared.add(published)
    # The four networks, both poolings and the three settings.
    assert len(compared) == 24


def test_detectors_of_the_imagenet_plan_are_the_published_ones(repo, configs):
    found = of_kind(configs("imagenet"), detectors=True)
    assert len(found) == 3
    for name, cfg in found.items():
        row = Config.fromfile(repo / f"configs/mask_rcnn_r50_{name.rpartition('_')[2]}.py")
        cfg, row = plain(cfg.to_dict()), plain(row.to_dict())
        pop_seeds(cfg)
        row["train_dataloader"].pop("persistent_workers")
        for content in (cfg, row):
            content["model"]["backbone"].pop("init_cfg")
            for key in ("randomness", "work_dir"):
                content.pop(key, None)
        assert cfg["model"] == row["model"], name
        for key in row:
            assert cfg[key] == row[key], (name, key)


def make(tmp_path, content, data=None):
    return make_jobs(read_plan(write_plan(tmp_path / "p.yml", content), data))


def digests(jobs):
    return {job.name: job.digest for job in jobs}


def test_digest_depends_on_neither_the_folders_nor_the_name_of_the_plan(tmp_path, monkeypatch):
    expected = digests(make(tmp_path, full()))
    monkeypatch.chdir(tmp_path)
    assert digests(make(tmp_path, full(), data="/else/where")) == expected
    other = write_plan(tmp_path / "other.yml", full())
    assert digests(make_jobs(read_plan(other))) == expected
    for key, value in (("title", "x"), ("text", "x"), ("data_root", "x")):
        assert digests(make(tmp_path, {**full(), key: value})) == expected
    content = full()
    content["verdict"]["confidence"] = 0.5
    content["groups"]["tiny"]["title"] = content["groups"]["tiny"]["arms"]["gap"]["title"] = "x"
    assert digests(make(tmp_path, content)) == expected


def changed(tmp_path, change):
    """Return the names of the jobs whose digest a change of the plan changes."""
    before, content = digests(make(tmp_path, full())), full()
    change(content["groups"]["tiny"])
    after = digests(make(tmp_path, content))
    return {name for name in before if after.get(name) != before[name]}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda g: g.update(shorten=0.06), {"gap_", "gcp_"}),
        (lambda g: g["settings"].update(anything=1), {"gap_", "gcp_"}),
        (lambda g: g["settings"]["data_preprocessor"].update(mean=[0, 0, 0]), {"gap_", "gcp_"}),
        (lambda g: g["arms"]["gap"]["settings"].update(anything=1), {"gap_"}),
        (lambda g: g["landscape"].update(interval=2), {"gap_", "gcp_"}),
        (lambda g: g["landscape"]["etas"].update(num=3), {"gap_", "gcp_"}),
        (lambda g: g["landscape"]["sharpness"].update(radius=0.7), {"sharpness"}),
        (lambda g: g["landscape"].update(images=5), {"sharpness"}),
        (lambda g: g["robustness"].update(severities=[1]), {"make_imagenet_c", "corruptions"}),
        (lambda g: g["robustness"].update(input_size=48), {"corruptions", "perturbations"}),
        (lambda g: g["detection"].update(settings={"anything": 1}), {"detector_"}),
        (lambda g: g["detection"]["arms"]["gcpm"].update(settings={"a": 1}), {"detector_gcpm"}),
    ],
)
def test_digest_changes_with_what_a_job_does_and_with_what_it_needs(tmp_path, change, parts):
    expected = {name for name in digests(make(tmp_path, full())) if any(p in name for p in parts)}
    assert expected and changed(tmp_path, change) == expected


def test_another_seed_changes_no_other(tmp_path):
    content = full()
    before = digests(make(tmp_path, content))
    content["seeds"] = [0, 7]
    after = digests(make(tmp_path, content))
    assert before.items() <= after.items()
    added = {name: digest for name, digest in after.items() if name not in before}
    assert all("_seed7/" in name for name in added)
    assert len(set(after.values())) == len(after)


def test_data_that_are_made_are_needed_by_all(tmp_path):
    jobs = make(tmp_path, {**full(), "make_data": True})
    assert jobs[0].name == "data" and jobs[0].commands == (
        ("make_demo_data.py", "--root", "{data}"),
    )
    needing = {name for job in jobs for name in job.needs}
    assert "data" in needing
    before = digests(make(tmp_path, full()))
    assert all(before[job.name] != job.digest for job in jobs[1:])


@pytest.mark.parametrize(
    "base", ["_base_/datasets/folder_bs64.py", "_base_/datasets/digits_48px.py"]
)
def test_digest_changes_with_every_base_also_of_a_base(repo, tmp_path, monkeypatch, base):
    root = tmp_path / "zoo"
    shutil.copytree(repo / "configs/_base_", root / "configs/_base_")
    monkeypatch.setattr(room, "zoo_root", lambda: root)
    monkeypatch.setattr("gcp_mm.reproduction.plan_checks.zoo_root", lambda: root)
    content = tiny(bases=["_base_/datasets/digits_48px.py", "_base_/runtime_classification.py"])
    before = digests(make(tmp_path, content))
    file = root / "configs" / base
    file.write_text(file.read_text() + "\n# changed\n")
    room._digests.cache_clear()
    after = digests(make(tmp_path, content))
    room._digests.cache_clear()
    assert before.keys() == after.keys() and not set(before.values()) & set(after.values())


def test_bases_of_every_config_of_the_project_are_found(repo):
    for path in (repo / "configs").rglob("*.py"):
        named = room._digests(path)
        assert len(named) >= 1 + path.read_text().count("_base_ = ")


@pytest.mark.parametrize("base", ["_base_/models/resnet_gap.py", "_base_/datasets/folder_bs64.py"])
def test_last_base_of_a_schedule_is_a_schedule(tmp_path, base):
    with pytest.raises(UserError, match=f"the base '{base}' is no schedule in epochs"):
        make(tmp_path, tiny(schedules={"lrfast": [base]}))


FOLDERS = [
    *("it's", 'a "quoted" one', "back\\slash", "new\nline", "{data}", "{{work}}", "a b", "ä\u2028"),
    *("{{$HOME:x}}", "'+__import__('os').system('touch marker')+'", "\udcff", "#", "%s", "$HOME"),
]


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_of_any_name_are_put_in(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content = tiny()
    content["groups"]["tiny"]["settings"]["folders"] = ["{data}/x", 'it\'s "{data}"', "{work}"]
    (job, *_) = make(tmp_path, content)
    cfg = read_config(job.config, tmp_path, f"/w/{name}", f"/d/{name}")
    assert cfg.folders == [f"/d/{name}/x", f'it\'s "/d/{name}"', f"/w/{name}"]
    assert not (tmp_path / "marker").exists()
    word = resolve("{work}/a{data}{latest}", Path(f"/w/{name}"), Path(f"/d/{name}"))
    assert word == f"/w/{name}/a/d/{name}{{latest}}"


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_a_plan_are_texts_in_its_configs(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    text = text.replace("{marker}", "marker")
    content = full()
    group = content["groups"]["tiny"]
    for table in (content, group, group["arms"]["gap"], group["detection"]["arms"]["gap"]):
        table["title"] = text
    group["settings"] |= {"anything": text, "more": {text: [text, {"_delete": text}]}}
    content["data_root"] = text.replace("/", "")
    plan = read_plan(write_plan(tmp_path / "p.yml", content))
    jobs = make_jobs(plan)
    train = next(job for job in jobs if job.kind == "train")
    cfg = read_config(train.config, tmp_path, data=plan.data_root)
    expected = text.replace("{data}", str(plan.data_root))
    assert cfg.anything == expected
    assert cfg.to_dict()["more"] == {expected: [expected, {"_delete": expected}]}
    assert not (tmp_path / "marker").exists()


def test_settings_are_merged_as_mmengine_does(tmp_path):
    content = tiny()
    group = content["groups"]["tiny"]
    group["settings"]["optim_wrapper"] = {"optimizer": {"lr": 0.25}}
    group["settings"]["default_hooks"] = {"logger": {"interval": 3}}
    group["settings"]["custom_hooks"] = [{"type": "EMAHook"}]
    group["arms"]["gcp"]["settings"]["optim_wrapper"] = {"optimizer": {"momentum": 0.5}}
    group["arms"]["gap"]["settings"]["optim_wrapper"] = {
        "optimizer": {"_delete_": True, "type": "Adam"}
    }
    gap, gcp = (read_config(job.config, tmp_path) for job in make(tmp_path, content))
    assert dict(gap.optim_wrapper.optimizer) == {"type": "Adam"}
    optimizer = gcp.optim_wrapper.optimizer
    assert (optimizer.lr, optimizer.momentum, optimizer.type) == (0.25, 0.5, "SGD")
    assert gcp.default_hooks.logger.interval == 3
    assert gcp.default_hooks.checkpoint.type == "gcp_mm.CheckpointHook"
    assert [hook.type for hook in gcp.custom_hooks] == ["EMAHook", "gcp_mm.EpochSeedHook"]
    group["landscape"] = full()["groups"]["tiny"]["landscape"]
    (train, *_) = make(tmp_path, content)
    hooks = read_config(train.config, tmp_path).custom_hooks
    expected = ["EMAHook", "gcp_mm.EpochSeedHook", "gcp_mm.LandscapeHook"]
    assert [hook.type for hook in hooks] == expected


@pytest.mark.parametrize("released", [False, True])
def test_trees_are_made_unless_there_are_released_ones(tmp_path, released):
    part = copy.deepcopy(ROBUSTNESS) | {"epochs": [1, 2]}
    if released:
        part["released"] = {"imagenet_c": "{data}/c", "imagenet_p": "{data}/p"}
    jobs = make(tmp_path, tiny(robustness=part, shorten=0.06))
    made = [job.name for job in jobs if job.kind == "corrupt"]
    assert made == ([] if released else ["tiny/make_imagenet_c", "tiny/make_imagenet_p"])
    found = [job for job in jobs if job.kind in ("corruptions", "perturbations")]
    epochs = next(job.about["epochs"] for job in jobs if job.kind == "train")
    # Of the epochs of the plan those before the last, and the last.
    measured = [job.about["epoch"] for job in found if job.kind == "corruptions"]
    assert measured == 2 * [*(epoch for epoch in (1, 2) if epoch < epochs), epochs]
    for job in found:
        (words,) = job.commands
        tree = words[words.index("--data-root") + 1]
        letter = "c" if job.kind == "corruptions" else "p"
        assert tree == (f"{{data}}/{letter}" if released else f"{{work}}/tiny/imagenet-{letter}")
        trees = [] if released else [f"tiny/make_imagenet_{letter}"]
        assert job.needs == (f"{job.task}/train", *trees)


@pytest.mark.parametrize("limit", [None, 4])
def test_trees_are_made_of_what_is_measured(tmp_path, limit):
    part = ROBUSTNESS | ({"perturbation_limit": limit} if limit else {})
    jobs = make(tmp_path, tiny(robustness=part))
    of_c, of_p = (" ".join(job.commands[0]) for job in jobs if job.kind == "corrupt")
    start, end = "gcp-mm corrupt --dataset imagenet", "-- {data}/val {work}/tiny/imagenet"
    chosen = "--workers 1 --size 32 --corruptions contrast --severities 1 3"
    assert of_c == f"{start}-c {chosen} {end}-c"
    chosen = f"--workers 1 --size 32 --perturbations translate{' --limit 4' if limit else ''}"
    assert of_p == f"{start}-p {chosen} {end}-p"


def test_groups_of_equal_settings_share_a_tree(tmp_path):
    content = tiny(robustness=ROBUSTNESS)
    for name, other in (("same", {}), ("rarer", {"severities": [5]}), ("larger", {"size": 64})):
        group = tiny(robustness={**ROBUSTNESS, **other})["groups"]["tiny"]
        content["groups"][name] = group
    jobs = make(tmp_path, content)
    made = {job.name: job for job in jobs if job.kind == "corrupt"}
    assert list(made) == [
        *("tiny/make_imagenet_c", "tiny/make_imagenet_p", "rarer/make_imagenet_c"),
        *("larger/make_imagenet_c", "larger/make_imagenet_p"),
    ]
    for job in jobs:
        if job.kind in ("corruptions", "perturbations"):
            (words,) = job.commands
            tree = words[words.index("--data-root") + 1]
            (need,) = [name for name in job.needs if name in made]
            assert made[need].commands[0][-1] == tree
            group = {"same": "tiny"}.get(job.about["group"], job.about["group"])
            if job.kind == "corruptions" or group == "larger":
                assert need.startswith(f"{group}/")
            else:
                assert need == "tiny/make_imagenet_p"


def test_parts_without_names_are_left_out(tmp_path):
    part = copy.deepcopy(ROBUSTNESS) | {"perturbations": []}
    kinds = {job.kind for job in make(tmp_path, tiny(robustness=part))}
    assert kinds == {"train", "corrupt", "corruptions"}
    part = copy.deepcopy(ROBUSTNESS) | {"corruptions": []}
    kinds = {job.kind for job in make(tmp_path, tiny(robustness=part))}
    assert kinds == {"train", "corrupt", "perturbations"}
