"""Results: a table on a terminal, tab-separated lines elsewhere, or JSON."""

import sys
from collections.abc import AsyncIterable, Callable, Mapping
from datetime import datetime, timedelta
from operator import attrgetter
from shutil import get_terminal_size
from typing import TYPE_CHECKING, TypeAlias, cast

import attrs
from cyclopts import Group, Parameter

from conference_async.cli.problems import fitted
from conference_async.privacy import mask, printable, printable_json

if TYPE_CHECKING:
    from rich.table import Table

    from conference_async.dialer.ledger.summary import Summary
    from conference_async.models import Conference, Participant

Shown: TypeAlias = "Participant | Conference | Summary"
"""A value that the service answers with, or a ledger."""


@Parameter(name="*", negative="", show_default=False, group=Group("Output", sort_key=9))
@attrs.frozen(kw_only=True)
class Output:
    """How to print results; they go to stdout, everything else to stderr."""

    json: bool = False
    """Print JSON. Otherwise a table on a terminal that is wide enough, and lines of tab-separated
    fields elsewhere."""

    show_numbers: bool = False
    """Show phone numbers whole, instead of their last four digits."""

    async def rows(self, values: AsyncIterable[Shown], columns: "Columns") -> None:
        """Print many values as they come; a table on a terminal waits for the last one."""
        if self.json:
            await self._json_array(values)
        elif _is_wide(columns):
            self._table([self._cells(value, columns) async for value in values], columns)
        else:
            async for value in values:
                print("\t".join(self._cells(value, columns)))

    def row(self, value: Shown, columns: "Columns") -> None:
        """Print one value, in short for people and whole as JSON."""
        if self.json:
            print(self.dumped(_given(value)))
        elif _is_wide(columns):
            self._table([self._cells(value, columns)], columns)
        else:
            print("\t".join(self._cells(value, columns)))

    def whole(self, value: Shown) -> None:
        """Print one value whole; for people without what only programs need."""
        self.facts(_given(value))

    def facts(self, facts: dict[str, object]) -> None:
        """Print what belongs together, each under its name."""
        if self.json:
            print(self.dumped(facts))
            return
        if sys.stdout.isatty():
            from rich.console import Console

            Console(highlight=False, emoji=False).print(self.grid(facts))
        else:
            for pair in self._pairs(facts):
                print("\t".join(pair))

    def grid(self, facts: dict[str, object]) -> "Table":
        """Return what belongs together as a terminal shows it."""
        from rich.table import Column, Table
        from rich.text import Text

        table = Table.grid("", Column(overflow="fold"), padding=(0, 2))
        for name, text in self._pairs(facts):
            table.add_row(Text(name, style="bold"), Text(text))
        return table

    def _pairs(self, facts: dict[str, object]) -> list[tuple[str, str]]:
        return [
            (name, self.text(content))
            for name, content in facts.items()
            if not isinstance(content, dict | list)
        ]

    def done(self, what: str, **facts: str) -> None:
        """Print that something was done which leaves nothing to show."""
        print(self.dumped(facts) if self.json else self.text(what))

    def line(self, content: object) -> None:
        """Print a line for a person; on a terminal it breaks between words."""
        print(fitted(self.text(content), sys.stdout))

    def text(self, content: object) -> str:
        """Return a value as text for a person: masked, and free of what moves a cursor."""
        if content is None:
            return "-"
        if isinstance(content, bool):
            return "yes" if content else "no"
        if isinstance(content, datetime):
            return content.isoformat(" ").replace("+00:00", "Z")
        text = str(content)
        return printable(text if self.show_numbers else mask(text))

    def dumped(self, content: object) -> str:
        """Return a value as JSON on one line, masked."""
        return printable_json(self._plain(content))

    def _plain(self, content: object) -> object:
        match content:
            case str() if not self.show_numbers:
                return mask(content)
            case datetime():
                return content.isoformat()
            case dict():
                pairs = cast("dict[str, object]", content)
                return {name: self._plain(value) for name, value in pairs.items()}
            case list() | tuple():
                return [self._plain(item) for item in cast("list[object]", content)]
            case _:
                return content

    async def _json_array(self, values: AsyncIterable[Shown]) -> None:
        lead = "["
        async for value in values:
            print(lead + self.dumped(_given(value)), end="")
            lead = ",\n "
        print("[]" if lead == "[" else "]")

    def _cells(self, value: Shown, columns: "Columns") -> list[str]:
        return [self.text(read(value)) for read in columns.values()]

    @staticmethod
    def _table(rows: list[list[str]], columns: "Columns") -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        for heading in columns:
            table.add_column(heading, no_wrap=_is_rigid(heading), overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        Console(highlight=False, emoji=False).print(table)


Columns: TypeAlias = Mapping[str, Callable[..., object]]
"""A column: its heading, and how to read what stands below it."""

_SID = 34
_LEAST = 8
"""Characters that a column needs to be read, if what stands in it may be folded."""


def _is_rigid(heading: str) -> bool:
    """Return whether what stands below a heading is never folded, so that it can be copied."""
    return "SID" in heading


def _is_wide(columns: Columns) -> bool:
    """Return whether a table goes to a terminal that has room for it."""
    least = [(_SID if _is_rigid(heading) else _LEAST) + 2 for heading in columns]
    return sys.stdout.isatty() and get_terminal_size().columns >= sum(least) - 2


PLAIN = Output()
"""How to print when no option says otherwise."""


def _state(participant: "Participant") -> str:
    notes = {
        "muted": participant.muted,
        "on hold": participant.hold,
        "coaching": participant.coaching,
        "found placed": participant.reconciled,
        "dialled before": participant.repeated,
    }
    return ", ".join([str(participant.status), *(note for note, true in notes.items() if true)])


PARTICIPANTS: Columns = {
    "Label": attrgetter("label"),
    "Call SID": attrgetter("call_sid"),
    "State": _state,
}
"""A participant in a table of 80 columns."""

CONFERENCES: Columns = {
    "Name": attrgetter("friendly_name"),
    "SID": attrgetter("sid"),
    "Status": attrgetter("status"),
    "Created": attrgetter("date_created"),
}
"""A conference in a table of 80 columns."""


def _age(summary: "Summary") -> str:
    if summary.age is None:
        return "-"
    days, seconds = divmod(round(summary.age), 86_400)
    return f"{days} d" if days else str(timedelta(seconds=seconds))


def _counts(summary: "Summary") -> str:
    if summary.campaign is None and summary.because:
        return summary.because
    return ", ".join(f"{number} {state}" for state, number in summary.counts.items() if number)


def _account(summary: "Summary") -> str:
    return summary.campaign.account_sid if summary.campaign else "-"


CAMPAIGNS: Columns = {
    "Ledger": attrgetter("ledger"),
    "State": attrgetter("standing"),
    "Targets": _counts,
    "Age": _age,
    "Account SID": _account,
}
"""A campaign in a table of 80 columns."""


def facts_of(summary: "Summary") -> dict[str, object]:
    """Return what is known of a campaign, by names."""
    from conference_async.sending.entries import State

    whose = summary.campaign
    return {
        "campaign": whose and whose.name,
        "account_sid": whose and whose.account_sid,
        "targets": whose and whose.total,
        "standing": summary.standing,
        "because": summary.because,
        **{state: summary.counts.get(state) for state in State},
        "backlog": summary.backlog,
        "later": summary.later,
        "oldest_in_flight": summary.oldest and round(summary.oldest, 3),
        "since": summary.since and summary.since.replace(microsecond=0),
    }


def _given(value: Shown) -> dict[str, object]:
    from conference_async.models import Conference, Participant

    if not isinstance(value, Participant | Conference):
        return {"ledger": value.ledger, **facts_of(value)}
    return attrs.asdict(value, recurse=False)
