"""Files of measurements as a figure, with a page that has its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate
from gcp_mm.landscape.bands import RunBands, incomparable, mean_widths, run_bands, write_csv
from gcp_mm.landscape.page import page_of_runs, page_of_spectra, page_of_surfaces
from gcp_mm.landscape.plot import draw_bands, draw_spectra, draw_surfaces
from gcp_mm.landscape.records import FILENAME, read_records, read_results
from gcp_mm.landscape.surface import losses_as_array
from gcp_mm.plots.figure import save_figure, svg_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gcp_mm.pages import Page

# Settings of a result that its numbers depend on, beside the network.
_OF_RESULTS = ("images", "batch_size", "batch_norm", "include_vectors")


@dataclass(frozen=True)
class Report:
    """What is made of files of one kind.

    Attributes:
        figure: All of them, drawn.
        page: The same with its numbers.
        warnings: Why they do not compare, and what they lack.
        runs: The bands that a table is written of; none of results.
        widths: How wide these are, see :func:`mean_widths`.
    """

    figure: Figure
    page: Page
    warnings: Sequence[str]
    runs: Sequence[RunBands] = ()
    widths: Sequence[Mapping[str, Any]] = ()

    def write(self, out: Path, formats: Sequence[str]) -> list[Path]:
        """Write page, figure in each format and table; their suffixes are appended to ``out``."""
        if out.suffix[1:] in formats:
            out = out.with_suffix("")
        beside = {form: out.with_name(f"{out.name}.{form}") for form in (*formats, "html", "csv")}
        written = [save_figure(self.figure, beside[form]) for form in formats]
        if self.runs:
            written.append(write_csv(self.runs, beside["csv"]))
        return [self.page.write_html(beside["html"]), *written]


def make_report(
    files: Sequence[Path], names: Sequence[str] | None = None, **of_bands: Any
) -> Report:
    """Draw work folders or records of runs, with options of :func:`draw_bands`, or results.

    They have to be of one kind. ``names`` are those in the figure, one for each.
    """
    paths = [path / FILENAME if path.is_dir() else path for path in files]
    if names and len(names) != len(paths):
        raise UserError(f"{len(names)} --names for {len(paths)} files: give one for each")
    kinds = [_kind(path) for path in paths]
    for path, kind in zip(paths, kinds, strict=True):
        if kind not in ("run", "surface", "curvature"):
            raise UserError(
                f"{str(path)!r}: no figure is made of files of the kind {kind!r}; give "
                "records of `run` or `probe`, or what `surface` or `curvature` wrote"
            )
    if len(set(kinds)) > 1:
        raise UserError(f"files of different kinds do not go into one figure: {sorted(set(kinds))}")
    if kinds[0] == "run":
        return _of_runs(files, paths, names, of_bands)
    if of_bands:
        raise UserError(
            f"--{min(of_bands)} is for bands of runs, not for a {kinds[0]}; leave it out"
        )
    return _of_results(files, paths, names, kinds[0])


def _kind(path: Path) -> str:
    """Tell result files from records, which are several JSON objects."""
    if path.is_fifo():
        # It is read twice, and the first time would wait for a writer, which may never come.
        raise UserError(f"{str(path)!r} is a pipe: write it to a file first")
    try:
        return json.loads(path.read_text(encoding="utf-8"))["kind"].replace("header", "run")
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "run"


def _distinct(
    files: Sequence[Path], given: Sequence[str] | None, names: Sequence[str]
) -> Sequence[str]:
    """Return the names in the figure, those that were given or else those of the files."""
    names = given or names
    twice = [name for name in names if list(names).count(name) > 1]
    if twice and given:
        raise UserError(f"--names: {twice[0]!r} is there twice")
    if twice:
        same = [str(file) for file, name in zip(files, names, strict=True) if name == twice[0]]
        raise UserError(
            f"{abbreviate(same)} are called {twice[0]!r}: give --names, one for each file"
        )
    return names


def _of_runs(
    files: Sequence[Path],
    paths: Sequence[Path],
    names: Sequence[str] | None,
    options: Mapping[str, Any],
) -> Report:
    read = [read_records(path) for path in paths]
    names = _distinct(files, names, [header["run"] for header, _ in read])
    runs = [
        run_bands(name, header["settings"], records)
        for name, (header, records) in zip(names, read, strict=True)
    ]
    warnings = incomparable({run.name: run.settings for run in runs})
    widths = [mean_widths(run, runs[0]) for run in runs]
    figure = draw_bands(runs, **options)
    page = page_of_runs(runs, widths, svg_text(figure), warnings)
    return Report(figure, page, warnings, runs, widths)


def _of_results(
    files: Sequence[Path], paths: Sequence[Path], names: Sequence[str] | None, kind: str
) -> Report:
    measured = ("losses", "alphas", "betas") if kind == "surface" else ("density",)
    read, configs = [], []
    for path in paths:
        settings, results = read_results(path, kind)
        if not results.keys() >= set(measured):
            raise UserError(
                f"{str(path)!r} has no {measured[0]} yet; start `{kind}` again to finish"
            )
        read.append((settings, results))
        configs.append(str(settings.get("config", path.stem)))
    names = _distinct(files, names, configs)
    warnings = incomparable(
        {name: settings for name, (settings, _) in zip(names, read, strict=True)}, _OF_RESULTS
    )
    found = [{**results, "name": name} for name, (_, results) in zip(names, read, strict=True)]
    if kind == "curvature":
        figure = draw_spectra(found)
        return Report(figure, page_of_spectra(found, svg_text(figure), warnings), warnings)
    for surface in found:
        missing = sum(row.count(None) for row in surface["losses"])
        surface |= {"missing": missing, "losses": losses_as_array(surface)}
        if missing:
            warnings.append(
                f"{surface['name']!r} lacks {missing} of {surface['losses'].size} points; start "
                "`surface` again to finish"
            )
    figure = draw_surfaces(found)
    return Report(figure, page_of_surfaces(found, svg_text(figure), warnings), warnings)
