"""The page of a plan: verdicts, figures, tables and all numbers."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write
from gcp_mm.pages import Page, literal
from gcp_mm.reproduction.figures import claim_figures
from gcp_mm.reproduction.first_start import changed_since
from gcp_mm.reproduction.jobs import Job
from gcp_mm.reproduction.measures import MEASURES, of_kind
from gcp_mm.reproduction.plan import CLAIMS, Plan
from gcp_mm.reproduction.results import read_done
from gcp_mm.reproduction.statistics import ABSENT
from gcp_mm.reproduction.verdicts import SENTENCES, ClaimVerdict, arms_of, judge, sentence
from gcp_mm.version import __version__

_COLUMNS = (
    *("measure", "unit", "arms", "seeds", "treatment", "control"),
    *("difference", "deviation", "low", "high", "verdict"),
)


def write_report(
    plan: Plan, jobs: Sequence[Job], work: Path, out: Path, command: str
) -> tuple[list[Path], list[str]]:
    """Write the page as HTML and as Markdown, its figures, and all numbers as JSON.

    Returns the files, and lines: how many runs there are, and the verdict of each claim and group.
    """
    done = [found for job in jobs if (found := read_done(work, job))]
    if not done:
        raise UserError(
            f"no run of the plan {plan.name!r} is done in {str(work)!r}, so that there is nothing "
            "to write: name the folder of the runs with --work-dir"
        )
    verdicts = judge(plan, done)
    lines = [f"{len(done)} of {len(jobs)} runs"]
    lines += [
        f"{SENTENCES[verdict.claim]} ({plan.groups[verdict.group]['title']}): "
        f"{sentence(verdict, plan.groups[verdict.group])}"
        for verdict in verdicts
    ]
    page = _page(plan, verdicts, done, len(jobs), command, changed_since(plan, work))
    numbers = _numbers(plan, verdicts, done, len(jobs))
    page.data("numbers", numbers)
    text = json.dumps(numbers, indent=1) + "\n"
    files = [
        page.write_html(out / "index.html"),
        page.write_markdown(out / "index.md"),
        atomic_write(out / "numbers.json", text, "numbers"),
    ]
    return files, lines


def _page(
    plan: Plan,
    verdicts: Sequence[ClaimVerdict],
    done: Sequence[Mapping[str, Any]],
    jobs: int,
    command: str,
    changed: str,
) -> Page:
    page = Page(plan.content["title"], plan.content["text"])
    rule = plan.content["verdict"]
    seconds = sum(entry["seconds"] for entry in done)
    state = "" if len(done) == jobs else " **The plan is not finished.**"
    page.text(
        f"{len(done)} of {jobs} runs, which took {seconds / 3600:.2f} hours together since each "
        f"was last started; seeds {', '.join(map(str, plan.seeds))}.{state} "
        f"{_versions(done)}Made by:"
    )
    page.code(command)
    page.heading("Verdicts")
    percent = f"{100 * rule['confidence']:g} %"
    page.text(
        "A verdict follows from a rule that stands in the plan: of "
        f"the primary measures, the interval of the paired difference at {percent} (Student) "
        "excludes zero in the claimed direction (**shows**), in the other "
        f"(**opposite**), or not, or the measures disagree, or there are fewer than "
        f"{rule['min_seeds']} pairs, or all differences are equal (**undecided**)."
    )
    if changed:
        page.text(
            f"**{literal(changed)}** Verdicts of a rule that was chosen after its runs say less."
        )
    rows = [
        (
            SENTENCES[verdict.claim],
            plan.groups[verdict.group]["title"],
            sentence(verdict, plan.groups[verdict.group]),
            ", ".join(rule["primary"].get(verdict.claim, ())),
        )
        for verdict in verdicts
    ]
    page.table(["claim", "networks", "verdict", "primary measures"], rows, "The claims.")
    for claim in CLAIMS:
        found = [verdict for verdict in verdicts if verdict.claim == claim]
        if found:
            page.heading(SENTENCES[claim])
        for verdict in found:
            _claim(page, verdict, plan.groups[verdict.group], done)
    page.heading("Measures")
    used = {pair.found.measure.name for verdict in verdicts for pair in verdict.pairs}
    measures = [
        (row.title, row.name, row.unit or None, "larger" if row.sign > 0 else "smaller", row.text)
        for row in MEASURES.values()
        if row.name in used
    ]
    page.table(["measure", "name", "unit", "claimed to be", "what it is"], measures, "Measures.")
    return page


def _claim(
    page: Page,
    verdict: ClaimVerdict,
    group: Mapping[str, Any],
    done: Sequence[Mapping[str, Any]],
) -> None:
    page.heading(group["title"], level=3)
    page.text(f"Verdict: **{literal(sentence(verdict, group))}**")
    own = [entry for entry in done if entry["about"].get("group") == verdict.group]
    if verdict.claim == "convergence":
        page.text(f"Epochs of the schedules: {_epochs(group, own)}.")
    for svg, alt, caption, name in claim_figures(verdict, group, own):
        # Each box of a page has a name of its own, for those who hear it.
        named = f"{literal(group['title'])}, {verdict.claim}: {caption[0].lower()}{caption[1:]}"
        page.figure(svg, f"{alt}: {group['title']}", named, name)
    _, _, arms = arms_of(group, verdict.claim)
    rows = []
    for pair in verdict.pairs:
        found = pair.comparison
        if found.verdict == ABSENT:
            continue
        # Over the seeds that both have: their difference is the paired one.
        means = (sum(values) / len(values) for values in zip(*pair.values, strict=True))
        names = f"{arms[pair.treatment]['title']} - {arms[pair.control]['title']}"
        measure = f"{pair.found.measure.title}, {pair.found.schedule}"
        rows.append(
            (
                f"{measure} *" if pair.primary else measure,
                pair.found.measure.unit or None,
                names,
                found.pairs,
                *means,
                found.mean,
                found.deviation,
                found.low,
                found.high,
                found.verdict,
            )
        )
    numbers = dict.fromkeys(_COLUMNS[4:10], ".4g")
    caption = (
        f"{literal(group['title'])}, {verdict.claim}: means over the seeds, and the paired "
        "differences. Stars are primary measures."
    )
    page.table(list(_COLUMNS), rows, caption, formats=numbers)


def _epochs(group: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> str:
    """Say how long the schedules are, of which there is a training."""
    epochs = {about["schedule"]: about["epochs"] for about, _ in of_kind(done, "train")}
    factor = group.get("shorten", 1)
    shortened = f", those of the paper times {factor:g}, to whole epochs" if factor != 1 else ""
    return literal(", ".join(f"{name} {number}" for name, number in epochs.items())) + shortened


def _versions(done: Sequence[Mapping[str, Any]]) -> str:
    """Warn of runs that were made with different versions."""
    found = {json.dumps(entry["versions"], sort_keys=True) for entry in done}
    if len(found) < 2:
        return ""
    return f"**The runs were made with {len(found)} sets of versions**, see the numbers. "


def _numbers(
    plan: Plan,
    verdicts: Sequence[ClaimVerdict],
    done: Sequence[Mapping[str, Any]],
    jobs: int,
) -> dict[str, Any]:
    """Collect everything as plain data."""
    import torch

    return {
        "plan": {"name": plan.name, **plan.content},
        "jobs": {"done": len(done), "all": jobs},
        "seconds": round(sum(entry["seconds"] for entry in done), 1),
        "versions": {
            "gcp_mm": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "verdicts": [
            {
                "claim": verdict.claim,
                "group": verdict.group,
                "sentence": sentence(verdict, plan.groups[verdict.group]),
                "verdicts": [
                    {"treatment": treatment, "control": control, "verdict": found}
                    for (treatment, control), found in verdict.verdicts.items()
                ],
                "differences": [
                    {
                        "measure": pair.found.name,
                        "treatment": pair.treatment,
                        "control": pair.control,
                        "primary": pair.primary,
                        **asdict(pair.comparison),
                    }
                    for pair in verdict.pairs
                ],
                "values": {
                    found.name: found.values
                    for found in {pair.found.name: pair.found for pair in verdict.pairs}.values()
                },
            }
            for verdict in verdicts
        ],
        "runs": [
            {key: entry[key] for key in ("name", "kind", "about", "seconds", "versions", "numbers")}
            for entry in done
        ],
    }
