"""What a trial counts: cases tried, held and failed."""

from __future__ import annotations

# More than these are counted, and not printed.
_SHOWN = 20


class Outcome:
    """The cases of one trial.

    Args:
        name: Name of the trial, as it is printed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._held = 0
        self._failures: list[tuple[str, str]] = []

    def held(self) -> None:
        """Count a case that did what it should."""
        self._held += 1

    def failed(self, case: str, what: str) -> None:
        """Count a case that did not.

        Args:
            case: All that is needed to repeat it: seed, file, number of the event.
            what: What happened instead.
        """
        self._failures.append((case, what))

    def report(self) -> int:
        """Print ``NAME: tried N, held N, failed N`` and the failures.

        Returns:
            The exit status: 0 if there was a case and all of them held, else 1.
        """
        tried = self._held + len(self._failures)
        print(f"{self.name}: tried {tried}, held {self._held}, failed {len(self._failures)}")
        for case, what in self._failures[:_SHOWN]:
            print(f"  {case}: {what}")
        if len(self._failures) > _SHOWN:
            print(f"  ... and {len(self._failures) - _SHOWN} more")
        return 0 if tried and not self._failures else 1
