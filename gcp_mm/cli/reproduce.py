"""Try the paper's claims: run a plan, judge them by its rule, and write a page."""

from __future__ import annotations

import argparse
import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.console.command_names import command_line
from gcp_mm.console.run_command import run_command
from gcp_mm.errors import UserError

if TYPE_CHECKING:
    from gcp_mm.reproduction.jobs import Job
    from gcp_mm.reproduction.plan import Plan


def parse(argv: Sequence[str] | None, prog: str | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog="Started again after an interruption, it goes on; finished runs are kept. On a "
        "cluster: --prepare once, then --task I for each I below --count-tasks, then --report.",
    )
    parser.add_argument(
        "plan", help="a YAML file, or a plan of this project: quick, imagenette, imagenet"
    )
    parser.add_argument("--data-root", type=Path, help="folder of the data (default: the plan's)")
    parser.add_argument(
        "--work-dir", type=Path, help="folder of the runs (default: work_dirs/reproduce/PLAN)"
    )
    parser.add_argument("--out", type=Path, help="folder of the page (default: WORK_DIR/report)")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="runs at once (default: one a core, or one a GPU)"
    )
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--prepare", action="store_true", help="only make the data")
    part.add_argument("--task", type=int, metavar="I", help="only one network and what follows it")
    part.add_argument("--count-tasks", action="store_true", help="print the number of tasks")
    part.add_argument(
        "--commands",
        action="store_true",
        help="print the commands and write their configs into WORK_DIR/commands; run nothing",
    )
    part.add_argument("--report", action="store_true", help="only write the page of what is there")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Run what is asked for, and print the verdicts."""
    args = parse(argv, prog)

    def command() -> None:
        _check_options(args)
        from gcp_mm.reproduction.jobs import make_jobs, tasks
        from gcp_mm.reproduction.plan import read_plan
        from gcp_mm.reproduction.verdicts import check_primary

        plan = read_plan(args.plan, args.data_root)
        check_primary(plan)
        args.work_dir = args.work_dir or Path("work_dirs/reproduce", plan.name)
        jobs = make_jobs(plan)
        if args.count_tasks:
            print(len(tasks(jobs)))
        elif args.commands:
            _print_commands(args, plan, jobs)
        else:
            if not args.report:
                _run(args, plan, jobs)
            if args.task is None and not args.prepare:
                _report(args, plan, jobs)

    run_command(command)


def _check_options(args: argparse.Namespace) -> None:
    """Refuse an option that what is asked for does not read."""
    if args.jobs is not None and args.jobs < 1:
        raise UserError(f"--jobs {args.jobs}: at least one run at once")
    parts = {
        "--prepare": args.prepare,
        "--task": args.task is not None,
        "--count-tasks": args.count_tasks,
        "--commands": args.commands,
        "--report": args.report,
    }
    asked = next((name for name, value in parts.items() if value), "")
    if args.out is not None and asked not in ("", "--report"):
        raise UserError(f"--out has no effect with {asked}, which writes no page; leave it out")
    if args.jobs is not None and asked in ("--count-tasks", "--commands", "--report"):
        raise UserError(f"--jobs has no effect with {asked}, which runs nothing; leave it out")


def _print_commands(args: argparse.Namespace, plan: Plan, jobs: Sequence[Job]) -> None:
    from gcp_mm.files import atomic_write
    from gcp_mm.reproduction.configs import resolve, resolve_config
    from gcp_mm.reproduction.first_start import check_data
    from gcp_mm.reproduction.results import check_starts, read_done
    from gcp_mm.reproduction.worker import program

    # The commands would go on with what is there.
    check_data(plan, args.work_dir)
    for job in jobs:
        read_done(args.work_dir, job)
    check_starts(args.work_dir, jobs, plan.data_root)
    # Those of the runs stay as they are.
    own = "{work}/commands/"
    for job in jobs:
        if job.config:
            text = resolve_config(job.config, args.work_dir.absolute(), plan.data_root.absolute())
            atomic_write(args.work_dir / "commands" / job.name / "config.py", text, "config")
        print(f"# {job.name}" + (f", after {', '.join(job.needs)}" if job.needs else ""))
        for words in job.commands:
            found = [
                word.replace("{work}/", own, 1) if word.endswith("/config.py") else word
                for word in words
            ]
            found = [resolve(word, args.work_dir, plan.data_root) for word in found]
            found = [word.replace("{latest}", "LATEST_CHECKPOINT") for word in found]
            print(shlex.join(program(found, plan.gpus_per_run)))


def _run(args: argparse.Namespace, plan: Plan, jobs: Sequence[Job]) -> None:
    from gcp_mm.locks import hold_folder
    from gcp_mm.reproduction.first_start import check_inputs, record_start
    from gcp_mm.reproduction.jobs import DATA_TASK, choose_task
    from gcp_mm.reproduction.results import check_starts, read_done
    from gcp_mm.reproduction.run import Runs
    from gcp_mm.reproduction.slots import find_slots

    chosen = list(jobs)
    if args.prepare:
        chosen = [job for job in jobs if job.task == DATA_TASK]
    elif args.task is not None:
        # What the task needs is done, or the first of its runs says that it is not.
        done = [job for job in jobs if job.task == DATA_TASK and read_done(args.work_dir, job)]
        chosen = [*done, *choose_task(jobs, args.task)]
    slots = find_slots(plan.gpus_per_run, args.jobs, data_only=args.prepare)
    check_inputs(plan, jobs)
    record_start(plan, args.work_dir)
    # Those of other tasks too: their runs and these are pairs.
    check_starts(args.work_dir, jobs, plan.data_root)
    print(f"{len(chosen)} runs, {slots.most} at once", flush=True)
    # Tasks have the folder together, and each of their runs is held.
    alone = hold_folder(args.work_dir, "is being worked in", "wait for it, or stop it")
    with alone if args.task is None else contextlib.nullcontext():
        Runs(chosen, args.work_dir, plan.data_root, slots).run()


def _report(args: argparse.Namespace, plan: Plan, jobs: Sequence[Job]) -> None:
    from gcp_mm.reproduction.report import write_report

    out = args.out or args.work_dir / "report"
    words = [args.plan, *(["--data-root", str(args.data_root)] if args.data_root else [])]
    command = f"{command_line('reproduce')} {shlex.join(words)}"
    files, lines = write_report(plan, jobs, args.work_dir, out, command)
    for line in lines:
        print(line)
    print(f"results: {', '.join(map(str, files))}")
