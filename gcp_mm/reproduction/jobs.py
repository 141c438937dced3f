"""The runs of a plan: each is a config and commands of this package, in a folder of its own.

A classifier is trained for each arm, schedule and seed; what is measured of it, and the detectors
that start from it, come after it and belong to the same task, so that tasks need nothing of one
another but the data. Texts of jobs have ``{work}``, ``{data}`` and ``{configs}`` for folders: two
jobs are the same if they are equal without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.plain_data import digest
from gcp_mm.reproduction.configs import base_digests, config_text, shortened
from gcp_mm.reproduction.plan import Plan

GCP_MM, DEMO_DATA = "gcp-mm", "make_demo_data.py"
"""First words of commands: the program of this package, or a tool of its source tree."""

DATA_TASK = "data"
"""Task that all others need."""

SHARING = ("train", "detector")
"""Kinds of jobs that share their batch among the GPUs of a run."""

# A training that was resumed draws the crops of one that was not: else arms are no pairs.
_SEEDS = dict(type="gcp_mm.EpochSeedHook")
_SEEDED = dict(worker_init_fn=dict(type="gcp_mm.seed_worker"), persistent_workers=False)


@dataclass(frozen=True)
class Job:
    """A run.

    Attributes:
        name: Its folder below the work folder.
        kind: What is done, such as ``train``.
        commands: Their words, in the order in which they run.
        task: Name of the jobs that go together.
        needs: Names of the jobs that have to be done before.
        config: Text of the config that is written into its folder, empty if it needs none.
        about: Group, arm, schedule, seed and what else tells it from jobs of the same kind.
        units: How much work it is among those of its kind.
        digest: Of all that its numbers depend on.
    """

    name: str
    kind: str
    commands: tuple[tuple[str, ...], ...]
    task: str
    needs: tuple[str, ...] = ()
    config: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    units: float = 1.0
    digest: str = ""


def make_jobs(plan: Plan) -> list[Job]:
    """Return the jobs of a plan; each comes after those that it needs."""
    jobs: list[Job] = []
    digests: dict[str, str] = {}
    for job in _jobs(plan):
        needed = [digests[name] for name in job.needs]
        parts: list[Any] = [job.kind, job.commands, job.config, needed, base_digests(job.config)]
        if job.kind in SHARING and plan.gpus_per_run > 1:
            parts.append({"gpus_per_run": plan.gpus_per_run})
        digests[job.name] = digest(parts)
        jobs.append(replace(job, digest=digests[job.name]))
    return jobs


def _jobs(plan: Plan) -> Iterator[Job]:
    data: tuple[str, ...] = ()
    if plan.content.get("make_data"):
        yield Job("data", "data", ((DEMO_DATA, "--root", "{data}"),), DATA_TASK)
        data = ("data",)
    made: dict[tuple[str, ...], Job] = {}
    for name, group in plan.groups.items():
        trees = {}
        for dataset, words in _trees(group):
            # Groups of the same settings share a tree.
            if words not in made:
                job = f"{name}/make_{dataset.replace('-', '_')}"
                commands = ((*words, f"{{work}}/{name}/{dataset}"),)
                made[words] = Job(job, "corrupt", commands, DATA_TASK, data, about={"group": name})
                yield made[words]
            trees[dataset] = made[words]
        schedules = {
            schedule: (bases, *shortened(bases[-1], group.get("shorten", 1)))
            for schedule, bases in group["schedules"].items()
        }
        # A seed after the other, so that an unfinished plan has whole pairs.
        for seed in plan.seeds:
            for schedule, (bases, loop, table) in schedules.items():
                for arm in group["arms"]:
                    run = _Run(name, group, arm, schedule, bases, loop, table, seed, trees)
                    yield from run.jobs(data)


def _trees(group: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what makes trees like ImageNet-C and -P, but for the folder."""
    part = group.get("robustness")
    if not part or "released" in part:
        return

    def words(dataset: str, *options: str) -> tuple[str, tuple[str, ...]]:
        start = (GCP_MM, "corrupt", "--dataset", dataset, "--workers", "1")
        return dataset, (*start, "--size", str(part["size"]), *options, "--", part["images"])

    if names := part["corruptions"]:
        severities = map(str, part["severities"])
        yield words("imagenet-c", "--corruptions", *names, "--severities", *severities)
    if names := part["perturbations"]:
        limit = part.get("perturbation_limit")
        limits = ("--limit", str(limit)) if limit else ()
        yield words("imagenet-p", "--perturbations", *names, *limits)


@dataclass(frozen=True)
class _Run:
    """A classifier that is trained, and what follows from it."""

    group_name: str
    group: Mapping[str, Any]
    arm: str
    schedule: str
    schedule_bases: Sequence[str]
    loop: Mapping[str, Any]
    table: list[float] | None
    seed: int
    trees: Mapping[str, Job]

    @property
    def epochs(self) -> int:
        return self.loop["max_epochs"]

    @property
    def task(self) -> str:
        return f"{self.group_name}/{self.arm}_{self.schedule}_seed{self.seed}"

    def checkpoint(self, epoch: int) -> str:
        return f"{{work}}/{self.task}/train/epoch_{epoch}.pth"

    def measured(self, part: str) -> Mapping[str, Any] | None:
        """Return a part of the group if this run takes part in it."""
        found = self.group.get(part)
        if not found or found["schedule"] != self.schedule or self.arm not in found["arms"]:
            return None
        return found

    def jobs(self, data: tuple[str, ...]) -> Iterator[Job]:
        train = f"{self.task}/train"
        words = (GCP_MM, "train", f"{{work}}/{train}/config.py", "--work-dir", f"{{work}}/{train}")
        commands = ((*words, "--auto-scale-lr"),)
        yield self._job("train", commands, data, config=self._config(), units=self.epochs)
        if landscape := self.measured("landscape"):
            yield from self._landscape(landscape, train)
        if robustness := self.measured("robustness"):
            yield from self._robustness(robustness, train)
        detection = self.group.get("detection")
        if detection and detection["schedule"] == self.schedule:
            for name, arm in detection["arms"].items():
                if arm["classifier"] == self.arm:
                    yield self._detector(detection, name, arm, (train, *data))

    def _job(
        self,
        name: str,
        commands: tuple[tuple[str, ...], ...],
        needs: tuple[str, ...],
        kind: str = "",
        config: str = "",
        units: float = 1,
        **about: Any,
    ) -> Job:
        run: dict[str, Any] = {"group": self.group_name, "arm": self.arm}
        run |= {"schedule": self.schedule, "seed": self.seed, "epochs": self.epochs}
        full, about = f"{self.task}/{name}", {**run, **about}
        return Job(full, kind or name, commands, self.task, needs, config, about, units)

    def _config(self) -> str:
        arm = self.group["arms"][self.arm]
        bases = [*([arm["base"]] if "base" in arm else []), *self.group["bases"]]
        bases += self.schedule_bases
        lines = list(_settings(self.group, arm))
        if self.table:
            scheduler = dict(_delete_=True, type="gcp_mm.TabulatedLR", table=self.table)
            scheduler |= dict(by_epoch=True, convert_to_iter_based=True)
            lines.append(("param_scheduler", scheduler))
        lines.append(("train_cfg", dict(self.loop)))
        lines.append(("randomness", dict(seed=self.seed)))
        robustness = self.measured("robustness") or {"epochs": []}
        checkpoints = dict(max_keep_ckpts=1, save_best=None, keep=robustness["epochs"])
        lines.append(("default_hooks", dict(checkpoint=checkpoints)))
        lines.append(("train_dataloader", _SEEDED))
        hooks: list[dict] = [_SEEDS]
        if landscape := self.measured("landscape"):
            hook = dict(type="gcp_mm.LandscapeHook", interval=landscape["interval"], rescale=True)
            hooks.append({**hook, "etas": dict(landscape["etas"])})
        return config_text(bases, lines, hooks)

    def _landscape(self, part: Mapping[str, Any], train: str) -> Iterator[Job]:
        config, checkpoint = f"{{work}}/{train}/config.py", self.checkpoint(self.epochs)
        start = (GCP_MM, "landscape")
        found = part["sharpness"]
        reach: tuple[str, ...] = ("--range", str(-found["radius"]), str(found["radius"]))
        # The two ends of a line; the loss at the checkpoint is measured in any case.
        reach += ("--points", "2", "--batch-norm", "batch")
        for direction in range(found["directions"]):
            name = f"sharpness{direction}"
            words: tuple[str, ...] = (*start, "surface", config, checkpoint, *_images(part), *reach)
            words += ("--seed", str(direction), "--out", f"{{work}}/{self.task}/{name}/result.json")
            radius = {"direction": direction, "radius": found["radius"]}
            yield self._job(name, (words,), (train,), kind="sharpness", **radius)
        if found := part.get("curvature"):
            words = (*start, "curvature", config, checkpoint, *_images(found))
            words += ("--top", str(found["top"]))
            words += ("--trace-samples", str(found["trace_samples"]))
            words += ("--lanczos-steps", str(found["lanczos_steps"]))
            words += ("--out", f"{{work}}/{self.task}/curvature/result.json")
            yield self._job("curvature", (words,), (train,))

    def _robustness(self, part: Mapping[str, Any], train: str) -> Iterator[Job]:
        made = {dataset: (tree.name,) for dataset, tree in self.trees.items()}
        chosen = ("--corruptions", *part["corruptions"])
        chosen += ("--severities", *map(str, part["severities"]))
        chosen += ("--clean",) if "released" in part else ("--clean-root", part["images"])
        epochs = [epoch for epoch in part["epochs"] if epoch < self.epochs]
        for epoch in [*epochs, self.epochs] if part["corruptions"] else []:
            name = f"corruptions_epoch{epoch}"
            words = (*self._robustness_words(part, "imagenet-c", epoch, name), *chosen)
            needs = (train, *made.get("imagenet-c", ()))
            yield self._job(name, (words,), needs, kind="corruptions", epoch=epoch)
        if part["perturbations"]:
            words = self._robustness_words(part, "imagenet-p", self.epochs, "perturbations")
            words += ("--perturbations", *part["perturbations"])
            yield self._job("perturbations", (words,), (train, *made.get("imagenet-p", ())))

    def _robustness_words(
        self, part: Mapping[str, Any], dataset: str, epoch: int, name: str
    ) -> tuple[str, ...]:
        released = part.get("released", {}).get(dataset.replace("-", "_"))
        tree = released or self.trees[dataset].commands[0][-1]
        config = f"{{work}}/{self.task}/train/config.py"
        words: tuple[str, ...] = (GCP_MM, "robustness", "run", config, self.checkpoint(epoch))
        words += ("--dataset", dataset, "--data-root", tree, "--name", self.arm)
        words += ("--out", f"{{work}}/{self.task}/{name}/result.json")
        if part.get("input_size", 224) != 224:
            words += ("--input-size", str(part["input_size"]))
        if "workers" in part:
            words += ("--workers", str(part["workers"]))
        return words

    def _detector(
        self, part: Mapping[str, Any], name: str, arm: Mapping[str, Any], needs: tuple[str, ...]
    ) -> Job:
        bases = [*part["bases"], *([arm["base"]] if "base" in arm else [])]
        lines = list(_settings(part, arm))
        start = dict(type="Pretrained", checkpoint=self.checkpoint(self.epochs), prefix="backbone.")
        lines.append(("model", dict(backbone=dict(init_cfg=start))))
        lines.append(("randomness", dict(seed=self.seed)))
        folder = f"{{work}}/{self.task}/detector_{name}"
        config = f"{folder}/config.py"
        commands = (
            (GCP_MM, "train", config, "--work-dir", folder, "--auto-scale-lr"),
            (GCP_MM, "test", config, "{latest}", "--work-dir", f"{folder}/test"),
        )
        lines.append(("train_dataloader", _SEEDED))
        text = config_text(bases, lines, [_SEEDS])
        return self._job(
            f"detector_{name}", commands, needs, kind="detector", config=text, detector=name
        )


def _images(part: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the options that choose the images that are measured."""
    return ("--batches", "1", "--batch-size", str(part["images"]), "--split", "train")


def _settings(*tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the settings of tables, in their order."""
    for table in tables:
        yield from table.get("settings", {}).items()


def tasks(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Group jobs by task, without the one that makes the data; they can run at the same time."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        if job.task != DATA_TASK:
            found.setdefault(job.task, []).append(job)
    return found


def choose_task(jobs: Sequence[Job], number: int) -> list[Job]:
    """Return the jobs of a task by its number, from 0."""
    found = list(tasks(jobs).values())
    if not 0 <= number < len(found):
        raise UserError(f"there is no task {number}: the plan has 0 to {len(found) - 1}")
    return found[number]
