"""A rehearsal: a campaign on an emulator whose phones behave as a file says."""

import math
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import attrs

from conference_async.dialer.plan.columns import Headings
from conference_async.dialer.plan.documents import Cells, Document, csv_rows
from conference_async.dialer.plan.phones import normalise_number
from conference_async.dialer.plan.plan import Plan
from conference_async.dialer.plan.targets import Problem, Target
from conference_async.emulator.calls.scripts import Script
from conference_async.errors import ConfigurationError, InvalidParameter

_OUTCOMES: Mapping[str, Script] = {
    "answer": Script(),
    "busy": Script(outcome="busy"),
    "silent": Script(outcome="no_answer"),
    "machine": Script(answered_by="machine_start", detected_after=2.0),
    "failed": Script(outcome="failed", after=0.0),
}
"""What a number does, in the words of the file."""

_COLUMNS = ("to", "outcome", "ring", "talk")
_EVERYBODY = "*"
_RINGS_FOR = 65.0
"""Seconds that a silent phone rings if its row has no timeout: the service's, and its grace."""


class _Columns(Headings):
    def of_table(self, headings: Sequence[str]) -> list[str | None]:
        """Return what each heading of a script names."""
        names = [heading.strip().casefold() for heading in headings]
        if missing := [name for name in _COLUMNS[:2] if name not in names]:
            raise InvalidParameter("script", f"none of its columns is called {missing[0]!r}")
        return [name if name in _COLUMNS else None for name in names]


@attrs.frozen
class Rehearsed:
    """How phones behave in a rehearsal."""

    scripts: Mapping[str, Script] = attrs.field(factory=dict[str, Script])
    """By number; of everybody who is not named, by an empty one."""

    answer_after: float = 0.5
    """Seconds that phones ring of which nothing is said."""

    @classmethod
    def of(cls, path: Path | None, default_region: str | None) -> "Rehearsed":
        """Return what a CSV file says: ``to``, ``outcome``, and seconds of ``ring`` and ``talk``.

        The number ``*`` is everybody who has no row of their own. It blocks on the disk.

        Args:
            path: The file; None if everybody picks up and stays.
            default_region: The country of numbers without ``+``.

        Raises:
            ConfigurationError: It cannot be read; the error names the line.
            InvalidParameter: A column is missing.
        """
        scripts: dict[str, Script] = {}
        if path is not None:
            for read in Document(path=path, read=csv_rows, headings=_Columns()).rows([]):
                if isinstance(read, Problem):
                    raise ConfigurationError(f"{path.name}, line {read.row}: {read.reason}")
                row, cells = read
                try:
                    to, script = _script(cells, default_region)
                except (InvalidParameter, ValueError) as error:
                    raise ConfigurationError(f"{path.name}, line {row}: {error}") from error
                scripts[to] = script
        return cls(scripts)

    def seconds(self, target: Target) -> float:
        """Return for how long a call holds a line; endless where somebody stays on it."""
        script = self.scripts.get(target.to) or self.scripts.get("") or _OUTCOMES["answer"]
        if script.outcome == "no_answer":
            timeout = target.template.timeout
            return _RINGS_FOR if timeout is None else timeout + 5.0
        rings = self.answer_after if script.after is None else script.after
        if script.outcome != "answer":
            return rings
        return math.inf if script.hang_up_after is None else rings + script.hang_up_after

    async def lines(self, plan: Plan) -> tuple[float, int]:
        """Return the seconds for which calls hold their lines on average, and how many stay.

        Those who stay on their line are not in the average.

        Raises:
            ConfigurationError: The plan cannot be read.
            InvalidParameter: A row is bad, and bad rows are not to be skipped.
        """
        held, ending, staying = 0.0, 0, 0
        async with aclosing(plan.batches()) as batches:
            async for batch in batches:
                for seconds in map(self.seconds, batch):
                    if math.isinf(seconds):
                        staying += 1
                    else:
                        held, ending = held + seconds, ending + 1
        return held / max(1, ending), staying


def _script(cells: Cells, default_region: str | None) -> tuple[str, Script]:
    given = {name: str(content).strip() for name, content in cells}
    script = _OUTCOMES.get(given.get("outcome", "").casefold())
    if script is None:
        raise InvalidParameter("outcome", f"must be one of {', '.join(_OUTCOMES)}")
    to = given.get("to", "")
    number = "" if to == _EVERYBODY else normalise_number(to, default_region)
    return number, attrs.evolve(
        script,
        after=_seconds("ring", given) if given.get("ring") else script.after,
        hang_up_after=_seconds("talk", given) if given.get("talk") else None,
    )


def _seconds(name: str, given: Mapping[str, str]) -> float:
    try:
        seconds = float(given[name])
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InvalidParameter(name, "must be seconds, such as 20")
    return seconds
