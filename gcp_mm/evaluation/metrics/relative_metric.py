"""What both metrics share: means relative to a baseline, as far as they may be stated."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from gcp_mm.evaluation.baseline import Baseline


class RelativeMetric(BaseMetric):
    """A metric of :class:`gcp_mm.datasets.robustness_tree.RobustnessTree`.

    Args:
        baseline: See :func:`gcp_mm.evaluation.load_baseline`.
        collect_device: As in mmengine's ``BaseMetric``.
        prefix: As there.
        collect_dir: As there.
    """

    def __init__(
        self,
        baseline: str | Path | Baseline = "alexnet",
        collect_device: str = "cpu",
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        self.baseline = baseline
        self._said: set[str] = set()

    def measure(
        self, measures: Callable[..., dict[str, Any]], cells: Mapping[str, Any], **settings: Any
    ) -> dict[str, Any]:
        """Compute what the data allow, and log once what they do not.

        Args:
            measures: A function of :mod:`gcp_mm.robustness.measures`.
            cells: Of a result file.
            settings: That only this metric knows.

        Returns:
            What the function gives.
        """
        found = measures(cells, {**self.dataset_meta["settings"], **settings}, self.baseline)
        for mean in ("mCE", "mFR", "mT5D"):
            if reason := found.get(f"{mean}_reason"):
                self._say(f"no {mean}: {reason}")
        if found["not_comparable"]:
            reasons = ", ".join(found["not_comparable"])
            self._say(f"not comparable with published numbers: {reasons}")
        return found

    def means(self, found: Mapping[str, Any], *names: str) -> dict[str, float]:
        """Choose the means that may be stated.

        Args:
            found: From :meth:`measure`.
            names: Of the means.

        Returns:
            Their values by name; that of a sample ends with ``_num_samples_<n>``.
        """
        number = self.dataset_meta["settings"]["num_samples"]
        mark = "" if number is None else f"_num_samples_{number}"
        return {f"{name}{mark}": found[name] for name in names if found[name] is not None}

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            print_log(f"{type(self).__name__}: {text}", "current", logging.WARNING)
