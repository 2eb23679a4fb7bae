"""What a plan would do, counted before anybody is called."""

from collections.abc import Iterable

import attrs

from conference_async.dialer.targets import Problem, SeenKeys, Target

LARGEST_ROOM = 250
"""How many participants a conference may hold at once
(conference-participant-resource#create-a-participant)."""

_LISTED = 1000


@attrs.frozen(kw_only=True)
class Preview:
    """What a plan would do; nothing has been sent."""

    rows: int
    """How many rows there are, blank lines left out."""

    good: int
    """How many targets would be called."""

    bad: int
    """How many rows cannot be dialled."""

    problems: tuple[Problem, ...]
    """The bad rows, in order; the first thousand of them."""

    duplicates: int
    """How many rows repeat a target of an earlier row, and are passed over."""

    repeats: tuple[Problem, ...]
    """The duplicate rows, in order; the first thousand of them."""

    rooms: int
    """How many conferences the targets are called into."""

    notes: tuple[str, ...]
    """What else a person should know before dialling."""

    def eta(self, cps: float) -> float:
        """Return the seconds from the first call to the last, at so many calls per second."""
        return max(0, self.good - 1) / cps


class Tally:
    """Counts the rows of a plan; its memory does not grow with the plan, but for `SeenKeys`."""

    def __init__(self) -> None:
        self._good = self._bad = self._duplicates = self._rooms = 0
        self._problems: list[Problem] = []
        self._repeats: list[Problem] = []
        self._seen = SeenKeys()

    def add(self, rows: Iterable[Target | Problem]) -> None:
        """Count some rows."""
        for row in rows:
            if isinstance(row, Target):
                self._good += 1
                self._rooms += self._seen.add(row.conference)
            elif row.duplicate:
                self._duplicates += 1
                self._repeats += [row] * (len(self._repeats) < _LISTED)
            else:
                self._bad += 1
                self._problems += [row] * (len(self._problems) < _LISTED)

    def preview(self, notes: Iterable[str]) -> Preview:
        """Return what was counted.

        Args:
            notes: What was noted while the rows were read.
        """
        notes = list(notes)
        if self._rooms == 1 and self._good > LARGEST_ROOM:
            notes.append(
                f"{self._good} targets go to one conference, which holds {LARGEST_ROOM} at once; "
                "give a room size to spread them over several"
            )
        return Preview(
            rows=self._good + self._bad + self._duplicates,
            good=self._good,
            bad=self._bad,
            problems=tuple(self._problems),
            duplicates=self._duplicates,
            repeats=tuple(self._repeats),
            rooms=self._rooms,
            notes=tuple(notes),
        )
