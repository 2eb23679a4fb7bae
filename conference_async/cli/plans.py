"""What a plan would do, shown before anybody is called."""

import signal
import sys
from datetime import timedelta
from pathlib import Path

import attrs
from cyclopts import Group, Parameter

from conference_async.cli.output import Output
from conference_async.dialer import Plan, Preview, Problem
from conference_async.errors import ConfigurationError

_LINES = 20
"""How many bad rows, and how many repeated ones, are listed for a person."""


@Parameter(name="*", negative="", show_default=False, group=Group("Plan", sort_key=1))
@attrs.frozen(kw_only=True)
class PlanOptions:
    """How the rows of a file become people to call."""

    conference: str | None = None
    """Where to bring them: a SID (CF…) or a friendly name. A column `conference` goes before it."""

    from_: str | None = None
    """Who calls: a number of the account. A column `from_` goes before it."""

    room_size: int | None = None
    """Spread them over conferences of this many, 1 to 250, called NAME-1, NAME-2 and so on."""

    default_region: str | None = None
    """The country, such as US, of numbers without a leading `+`."""

    skip_bad_rows: bool = False
    """Dial the good rows although others are bad."""

    def plan(self, file: Path) -> Plan:
        """Return the plan of a CSV file, or of a JSON Lines file by its name."""
        read = Plan.from_jsonl if file.suffix in {".jsonl", ".ndjson"} else Plan.from_csv
        return read(file, **attrs.asdict(self))


def as_json(preview: Preview, *, cps: float, host: str) -> dict[str, object]:
    """Return a plan for machines."""
    return {
        "host": host,
        "rows": preview.rows,
        "to_call": preview.good,
        "bad": preview.bad,
        "bad_rows": [_problem(problem) for problem in preview.problems],
        "duplicates": preview.duplicates,
        "duplicate_rows": [_problem(problem) for problem in preview.repeats],
        "conferences": preview.rooms,
        "cps": cps,
        "eta_seconds": round(preview.eta(cps), 3),
        "notes": list(preview.notes),
    }


def show(preview: Preview, output: Output, *, cps: float, host: str, ledger: str) -> None:
    """Print a plan for people."""
    eta = timedelta(seconds=round(preview.eta(cps)))
    print(f"to call      {preview.good} of {preview.rows} rows, through {host}")
    print(f"conferences  {preview.rooms}")
    print(f"takes        {eta} at {cps:g} per second")
    print(f"ledger       {output.text(ledger)}")
    for note in preview.notes:
        print(f"note         {output.text(note)}")
    _list("bad rows", preview.bad, preview.problems, output)
    _list("duplicates", preview.duplicates, preview.repeats, output)


def refuse_bad(preview: Preview, options: PlanOptions) -> None:
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


def _problem(problem: Problem) -> dict[str, object]:
    return {"row": problem.row, "reason": problem.reason}


def _list(what: str, count: int, problems: tuple[Problem, ...], output: Output) -> None:
    if not count:
        return
    print(f"{what:<12} {count}")
    for problem in problems[:_LINES]:
        print(f"  row {problem.row}: {output.text(problem.reason)}")
    if count > _LINES:
        print(f"  and {count - _LINES} more; --dry-run --json lists a thousand")
