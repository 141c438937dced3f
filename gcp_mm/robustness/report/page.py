"""The report as a page: what the Markdown has, with figures, tables that sort, and all numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gcp_mm.files import abbreviate
from gcp_mm.pages import Page, literal
from gcp_mm.robustness.report.models import Model
from gcp_mm.robustness.report.tables import LEGEND, notes_on, rows_of_means, sections
from gcp_mm.robustness.report.values import Number, means

_PARTS = {
    "imagenet-c": ("Corruptions", "corruption"),
    "imagenet-p": ("Perturbations", "perturbation"),
}


def report_page(
    models: Sequence[Model],
    numbers: Sequence[Number],
    notes: Iterable[str],
    drawings: Mapping[str, str],
) -> Page:
    """Put a report together; ``drawings`` is SVG of the figures by the names of their files."""
    table, stars = means(numbers), rows_of_means(models, numbers)
    names = abbreviate(literal(name) for name in table)
    page = Page("Robustness", f"How far corrupted and perturbed images mislead {names}. {LEGEND}")
    page.heading("Means")
    titles = list(next(iter(table.values())))
    page.table(["model", *titles], stars, "Means in %.", dict.fromkeys(titles, ".1f"))
    for note in (*notes_on(models), *notes):
        page.text(literal(note))
    _draw(page, drawings, "means", "Means of the benchmarks.")
    captions = {
        "imagenet-c": {
            "corruption_error": "Error by corruption, means over the severities.",
            "severities": "Error by severity, a panel for each corruption.",
        },
        "imagenet-p": {
            "flip_rate": "How often the answer changes from frame to frame.",
            "top5_distance": "How far the first five answers move from frame to frame.",
        },
    }
    found = list(sections(numbers))
    for dataset, (heading, row) in _PARTS.items():
        tables = [section for section in found if section.dataset == dataset]
        if tables:
            page.heading(heading)
        for name, caption in captions[dataset].items():
            _draw(page, drawings, name, caption)
        for section in tables:
            formats = dict.fromkeys(section.columns, f".{section.digits}f")
            page.table([row, *section.columns], section.rows, f"{section.title}.", formats)
    page.text(
        "The same as text and as one long table: [report.md](report.md), [report.csv](report.csv)."
    )
    page.data("numbers", {"columns": Number._fields, "rows": numbers})
    return page


def _draw(page: Page, drawings: Mapping[str, str], name: str, caption: str) -> None:
    if name in drawings:
        alt = f"{caption} The numbers are in the tables of this page."
        page.figure(drawings[name], alt, caption, name)
