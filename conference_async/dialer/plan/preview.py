"""A plan in numbers, counted before anybody is called."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

import attrs

from conference_async.dialer.plan.targets import Problem, Row, SeenKeys, Target

WhyNot: TypeAlias = Callable[[Sequence[Target]], Awaitable[Sequence[str | None]]]
"""Returns why each of some targets is not called at this time, None where it is."""

LARGEST_ROOM = 250
"""How many participants a conference may hold at once
(conference-participant-resource#create-a-participant)."""

_LISTED = 1000


@attrs.frozen(kw_only=True)
class Preview:
    """The effect that a plan would have; nothing has been sent."""

    rows: int
    """How many rows there are, blank lines left out."""

    good: int
    """How many targets there are."""

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
    """Further facts that a person should know before dialling."""

    withheld: Mapping[str, int] = attrs.field(factory=dict[str, int])
    """How many targets are not called at this time, by the reason; empty where no rules were
    asked (see `Dialer.preview`)."""

    priorities: tuple[int, ...] = (0,)
    """The priorities that targets have, the highest first."""

    @property
    def to_call(self) -> int:
        """How many targets would be called."""
        return self.good - sum(self.withheld.values())

    def eta(self, cps: float, *, lines: int | None = None, held: float = 0.0) -> float:
        """Return the seconds from the first call to the last, at so many calls per second.

        Args:
            cps: The calls per second.
            lines: How many calls can be live at once, more than 0; not counted if not given.
            held: Seconds for which a call holds a line, on average.
        """
        paced = max(0, self.to_call - 1) / cps
        return paced if lines is None else max(paced, max(0, self.to_call - lines) * held / lines)


class Tally:
    """Counts the rows of a plan; its memory does not grow with the plan, but for `SeenKeys`.

    Args:
        why_not: The rules that are asked, if any are.
    """

    def __init__(self, why_not: WhyNot | None = None) -> None:
        self._why_not = why_not
        self._withheld = Counter[str]()
        self._good = self._bad = self._duplicates = self._rooms = 0
        self._priorities = {0}
        self._problems: list[Problem] = []
        self._repeats: list[Problem] = []
        self._room = ""
        self._seen = SeenKeys()

    async def add(self, rows: Sequence[Row]) -> list[Target]:
        """Count some rows; return the targets among them."""
        targets: list[Target] = []
        for row in rows:
            if isinstance(row, Target):
                targets.append(row)
                if row.conference != self._room:  # those who share a room mostly come together
                    self._room = row.conference
                    self._rooms += self._seen.add(self._room)
                self._priorities.add(row.priority)
            elif row.duplicate:
                self._duplicates += 1
                self._repeats += [row] * (len(self._repeats) < _LISTED)
            else:
                self._bad += 1
                self._problems += [row] * (len(self._problems) < _LISTED)
        self._good += len(targets)
        if self._why_not is not None:
            self._withheld.update(filter(None, await self._why_not(targets)))
        return targets

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
            withheld=dict(self._withheld.most_common()),
            priorities=tuple(sorted(self._priorities, reverse=True)),
        )
