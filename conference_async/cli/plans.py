"""A plan as options make it, and as it is shown before anybody is called."""

import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs
from cyclopts import Group, Parameter

from conference_async.cli.output import Output
from conference_async.errors import ConfigurationError

if TYPE_CHECKING:
    from conference_async.client import ConferenceClient
    from conference_async.dialer.plan.plan import Plan
    from conference_async.dialer.plan.preview import Preview
    from conference_async.dialer.plan.targets import Problem

_HERE = {"localhost", "127.0.0.1", "::1"}
_LINES = 10
"""How many bad rows, and how many repeated ones, are listed for a person."""


@Parameter(name="*", negative="", show_default=False, group=Group("Plan", sort_key=1))
@attrs.frozen(kw_only=True)
class PlanOptions:
    """How the rows of a file become people to call."""

    conference: str | None = None
    """The conference: a SID (CF…) or a friendly name. A column `conference` goes before it."""

    from_: str | None = None
    """The caller: a number of the account. A column `from_` goes before it."""

    room_size: int | None = None
    """Spread them over conferences of this many, 1 to 250, called NAME-1, NAME-2 and so on."""

    column: tuple[str, ...] = ()
    """A column of another name, as to=Telefon or label=Name; may be given several times."""

    default_region: str | None = None
    """The country, such as US, of numbers without a leading `+`, here and in --do-not-call."""

    skip_bad_rows: bool = False
    """Dial the good rows although others are bad."""

    def plan(self, file: Path) -> "Plan":
        """Return the plan of a CSV file, or of a JSON Lines file by its name.

        Raises:
            ConfigurationError: Options contradict each other, or one cannot be read.
        """
        from conference_async.dialer.plan.plan import Plan

        read = Plan.from_jsonl if file.suffix.lower() in {".jsonl", ".ndjson"} else Plan.from_csv
        return read(
            file,
            conference=self.conference,
            from_=self.from_,
            room_size=self.room_size,
            columns=self._columns(),
            default_region=self.default_region,
            skip_bad_rows=self.skip_bad_rows,
        )

    def _columns(self) -> dict[str, str]:
        columns: dict[str, str] = {}
        for given in self.column:
            parameter, equals, heading = given.partition("=")
            if not (parameter and equals and heading):
                raise ConfigurationError(f"--column must be like to=Telefon, not {given!r}")
            columns[heading] = parameter
        return columns


def as_json(preview: "Preview", around: "Surroundings") -> dict[str, object]:
    """Return a plan for machines."""
    eta = around.eta(preview)
    return {
        "host": around.host,
        "rows": preview.rows,
        "to_call": preview.to_call,
        "not_now": dict(preview.withheld),
        "bad": preview.bad,
        "bad_rows": [_problem(problem) for problem in preview.problems],
        "duplicates": preview.duplicates,
        "duplicate_rows": [_problem(problem) for problem in preview.repeats],
        "conferences": preview.rooms,
        "cps": around.cps,
        "eta_seconds": None if eta is None else round(eta, 3),
        "notes": list(preview.notes),
    }


@attrs.frozen(kw_only=True)
class Surroundings:
    """The facts that a plan is shown with."""

    file: Path
    """The file that it was read from."""

    cps: float
    """The calls per second that it is dialled at."""

    host: str
    """The host that it is dialled through."""

    ledger: str
    """The ledger that remembers it, masked."""

    missing: int = 0
    """How many were submitted before, and are in the file no more."""

    lines: int | None = None
    """How many calls can be live at once in a rehearsal; None where they are not counted."""

    held: float = 0.0
    """Seconds for which a rehearsed call holds its line, on average."""

    staying: int = 0
    """How many stay on their lines in a rehearsal."""

    def eta(self, preview: "Preview") -> float | None:
        """Return the seconds that it takes; None if lines do not become free."""
        if self.lines is None or preview.to_call <= self.lines:
            return preview.eta(self.cps)
        if self.staying >= self.lines:
            return None
        return preview.eta(self.cps, lines=self.lines - self.staying, held=self.held)

    def takes(self, preview: "Preview") -> str:
        """Return how long it takes, for a person."""
        eta = self.eta(preview)
        if eta is None:
            return (
                f"until people hang up: {self.staying} stay on the line, and there are "
                f"{self.lines}; a row `*,answer,,60` of --script lets everybody talk for a minute"
            )
        lines = "" if self.lines is None else f" on {self.lines} lines"
        return f"{timedelta(seconds=round(eta))} at {self.cps:g} per second{lines}"


def show(preview: "Preview", output: Output, around: Surroundings) -> None:
    """Print a plan for people: what is wrong first, so that the sum is still on the screen."""
    _list("bad rows", preview.bad, preview.problems, output, around.file)
    _list("duplicates", preview.duplicates, preview.repeats, output, around.file)
    for note in preview.notes:
        output.line(f"note         {note}")
    print(f"to call      {preview.to_call} of {preview.rows} rows, through {around.host}")
    for reason, count in preview.withheld.items():
        output.line(f"not now      {count}: {reason}")
    if around.missing:
        print(f"missing      {around.missing} no longer in the file: left out")
    print(f"conferences  {preview.rooms}")
    output.line(f"takes        {around.takes(preview)}")
    output.line(f"ledger       {around.ledger}")


def refuse_bad(preview: "Preview", options: PlanOptions) -> None:
    """Refuse a plan that nobody should dial.

    Raises:
        ConfigurationError: Rows are bad and are not to be skipped, or there is nobody to call.
    """
    if preview.bad and not options.skip_bad_rows:
        first = preview.problems[0]
        raise ConfigurationError(
            f"{preview.bad} of {preview.rows} rows cannot be dialled (row {first.row}: "
            f"{first.reason}), so nobody was called; {_remedy(first.reason, options)}"
        )
    if not preview.good:
        raise ConfigurationError("there is nobody to call in this file")


def _remedy(reason: str, options: PlanOptions) -> str:
    for column, given in (("conference", options.conference), ("from_", options.from_)):
        if given is None and reason.startswith(f"{column}: "):
            return f"say --{column.strip('_')}, or add a column {column}"
    return "mend them, or leave them out with --skip-bad-rows"


def phones_ring(client: "ConferenceClient", *, yes: bool) -> bool:
    """Return whether somebody has to be asked before it goes on.

    Args:
        client: What is dialled through.
        yes: Whether nobody is to be asked.
    """
    return not yes and urlsplit(client.base_url).hostname not in _HERE


def confirmed(question: str) -> bool:
    """Ask a person at a terminal.

    Raises:
        ConfigurationError: There is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise ConfigurationError("phones will ring, and there is no terminal to ask at: say --yes")
    # The loop's own handler would take note of Ctrl-C, and wait for the answer all the same.
    interrupted = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    finally:
        signal.signal(signal.SIGINT, interrupted)


def _problem(problem: "Problem") -> dict[str, object]:
    return {"row": problem.row, "reason": problem.reason}


def _list(
    what: str, count: int, problems: "tuple[Problem, ...]", output: Output, file: Path
) -> None:
    if not count:
        return
    print(f"{what:<12} {count}")
    lines = [f"row {problem.row}: {problem.reason}" for problem in problems]
    for line in lines[:_LINES]:
        output.line(f"  {line}")
    if count > _LINES:
        output.line(f"  and {count - _LINES} more{_listed(what, count, lines, file)}")


def _listed(what: str, count: int, lines: list[str], file: Path) -> str:
    """Write rows to a file beside that of the plan; return the words that say where."""
    from conference_async.dialer.ledger.private_file import write_privately

    path = file.with_name(f"{file.name}.{what.replace(' ', '-')}.txt")
    beyond = f"and {count - len(lines)} more\n" if count > len(lines) else ""
    try:
        write_privately(path, [*(f"{line}\n" for line in lines), beyond])
    except OSError:
        return "; --dry-run --json lists a thousand"
    return f": {path}"
